"""Surveys drawn at random, and any other survey of a test, as sources: exports, contracts and code lists.

A design is one survey: a monitor of its own with one source, so that one refresh answers for many.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from conftest import PROJECT

from pipelines import reference

Row = dict[str, str]

WAVE = {"code": "wave-test", "start": "2023-07-02", "end": "2024-07-02"}  # wholly inside no year: it is the only period
MONTHS = {"2024-01": "2024-Q1", "2024-02": "2024-Q1"}
CHANNELS = ("physical", "phone", "email")
SIZES = ("small", "medium", "large")
TREE = {  # sector: its parent
    "all": "", "public": "all", "cities": "public", "schools": "public", "insurers": "all", "shops": "all",
    "housing": "all", "not_applicable": "all", "gov": "all", "utility": "all", "insurer": "all",
}  # fmt: skip
LEAVES = ("cities", "schools", "insurers", "shops", "housing")
# measure: statistic, lowest and highest answer, decimals, unit
MEASURES = {
    "grade": ("mean", 1, 10, 1, "grade"),
    "recommendation": ("nps", 0, 10, 0, "points"),
    "agrees": ("share", 0, 1, 0, "percent"),
}


@dataclass(frozen=True)
class Organisation:
    code: str
    sector: str
    size: str = "small"


@dataclass
class Design:
    """A survey: its rows as they stand in the export, and what its contract says."""

    name: str
    organisations: list[Organisation]
    rows: list[Row]
    questions: dict[str, str]  # column: measure; grade_email is the grade of the channel email
    unit: str = "organisation"
    strata: str | None = None
    sampled_from: dict[str, int] = field(default_factory=dict)
    files: int = 1
    monitor: str = ""  # the name, if not said otherwise
    population: dict[tuple[str, str], int] = field(default_factory=dict)  # customers by margin and level
    named: tuple[str, ...] = ("response", "respondent", "organisation", "channel", "sector", "day", "weight")
    audience: str = "customer"
    segments: dict[str, tuple[str, ...]] = field(default_factory=dict)  # column: the groups that stand in it

    def channel(self, column: str) -> str:
        """The channel that a question asks about, as contracts say it."""
        if "_" in column:
            return column.split("_")[1]
        return "row" if "channel" in self.named else "not_applicable"

    def contract(self) -> dict[str, Any]:
        said: dict[str, dict[str, Any]] = {
            "response": {"role": "response"},
            "respondent": {"role": "respondent"},
            "organisation": {"role": "organisation"},
            "channel": {"role": "channel", "values": {c: c for c in CHANNELS}},
            "sector": {"role": "sector", "values": {c: c for c in TREE if c not in {*TREE.values(), "not_applicable"}}},
            "day": {"role": "date"},
            "weight": {"role": "weight"},
        }
        columns = {name: said[name] for name in self.named} | {
            column: {"role": "question", "measure": measure, "channel": self.channel(column), "dont_know": ["?"]}
            for column, measure in self.questions.items()
        }
        columns |= {
            c: {"role": "segment", "segment": c, "values": {g: g for g in of}} for c, of in self.segments.items()
        }
        groups = [(c, g) for c, of in self.segments.items() for g in of]
        optional = {"strata": self.strata, "sampled_from": self.sampled_from}
        return {
            "title": self.name, "monitor": self.monitor or self.name, "audience": self.audience, "country": "NL",
            "provenance": "synthetic", "controller": "Meetlat tests", "purpose": "comparison with R",
            "licence": "MIT", "sampling_unit": self.unit,
            **{key: value for key, value in optional.items() if value},
            **({} if "day" in self.named else {"wave": WAVE}),
            "files": "*.csv", "format": {"kind": "csv", "encoding": "utf-8", "delimiter": ","},
            "delivery": {"mode": "append", "order": r"part(\d+)"},
            "columns": columns, "discard": [c for c in self.rows[0] if c not in columns],
            "codes": {"segments": [{"segment": c, "code": g, "label_en": g, "label_nl": g} for c, g in groups]},
        }  # fmt: skip

    def write(self, raw: Path) -> None:
        folder = raw / self.name
        for number in range(self.files):
            part = self.rows[number :: self.files]
            write_csv(folder / f"part{number + 1}.csv", self.rows[0], (row.values() for row in part))
        (folder / "contract.yml").write_text(yaml.safe_dump(self.contract(), sort_keys=False))

    def answers(self) -> Iterator[dict[str, Any]]:
        """The valid answers, one row each and period that is compared, as R reads them."""
        known = {o.code: o for o in self.organisations}
        drawn = self.sampled_from.get
        for row in self.rows:
            for column, measure in self.questions.items():
                if row[column] in ("", "?"):
                    continue
                organisation = known[row["organisation"]]
                stratum = {"sector": organisation.sector, "size_class": organisation.size}.get(self.strata or "", "all")
                channel = self.channel(column)
                month = row["day"][:7]
                for period in (month, MONTHS[month]) if "day" in self.named else (WAVE["code"],):
                    yield {
                        "design": self.name, "period": period,
                        "respondent": row["respondent" if "respondent" in self.named else "response"],
                        "organisation": organisation.code, "stratum": stratum, "drawn_from": drawn(stratum, ""),
                        "sector": row["sector"] if "sector" in self.named else organisation.sector,
                        "channel": row["channel"] if channel == "row" else channel,
                        "measure": measure, "value": row[column],
                        "weight": row["weight"] if "weight" in self.named else 1,
                    }  # fmt: skip


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([list(columns), *rows])


def measure(code: str, said: tuple[str, int, int, int, str]) -> list[Any]:
    """A row of the list of measures; what is not said is blank."""
    statistic, low, high, decimals, unit = said
    row = {
        "measure_code": code, "statistic": statistic, "frame": "contact", "scale_min": low, "scale_max": high,
        "decimals": decimals, "unit": unit, "direction": "higher_is_better", "label_en": code, "label_nl": code,
    }  # fmt: skip
    return [row.get(column, "") for column in reference.LISTS["measures"]]


def write_raw(raw: Path, designs: Iterable[Design], also: dict[str, Iterable[Iterable[Any]]] | None = None) -> None:
    """The raw folder: a source for every design, and the code lists that they need. `also` has rows of other lists."""
    designs = list(designs)
    for design in designs:
        design.write(raw)
    monitors = sorted({d.monitor or d.name for d in designs})
    known = {o for d in designs for o in d.organisations}
    organisations = sorted((o.code, o.code, o.code, o.sector, o.size, "NL", "2000-01-01") for o in known)
    lists = {
        "monitors": ("monitor_code,label_en,label_nl,publisher", [(m, m, m, "nobody") for m in monitors]),
        "sectors": (
            "sector_code,parent_code,label_en,label_nl,sbi_code,sbi_version,sort_order",
            [(code, parent, code, code, "", "", n) for n, (code, parent) in enumerate(TREE.items())],
        ),
        "measures": (",".join(reference.LISTS["measures"]), [measure(*said) for said in MEASURES.items()]),
        "organisations": (
            "organisation_code,name_en,name_nl,sector_code,size_class,country_code,valid_from",
            organisations,
        ),
        "population": (
            "weighting_code,monitor_code,audience_code,period_code,margin,level,population,unit,source,source_date",
            [
                (d.name, d.monitor or d.name, "customer", WAVE["code"], *level, n, "customers", "made up", "2024-01-01")
                for d in designs
                for level, n in d.population.items()
            ],
        ),
    }  # fmt: skip
    for name, listed in (also or {}).items():
        write_csv(raw / "reference" / f"{name}.csv", reference.LISTS[name], listed)
    for name, (columns, rows) in lists.items():
        write_csv(raw / "reference" / f"{name}.csv", columns.split(","), rows)
    with (PROJECT / "raw" / "reference" / "published_figures.csv").open() as shipped:
        write_csv(raw / "reference" / "published_figures.csv", next(csv.reader(shipped)), [])  # nobody published any


# --- at random -----------------------------------------------------------------------------------


def draw(seed: int, number: int) -> Design:
    """The design with this number. Every kind comes often enough in thirty, whatever the seed."""
    rng = np.random.default_rng([seed, number])
    name = f"design_{number:02}"
    unit = "respondent" if number % 5 == 4 else "organisation"
    strata = {1: "sector", 3: "size_class"}.get(number % 5)
    wide, dated, stated = number % 4 == 2, number % 6 == 3, number % 7 == 5
    decimals = (None, 3, 4, 6)[number % 4]  # of the weights
    within, across = rng.choice([0, 0.15, 0.5]), 0.25 if number % 3 == 1 else 0

    in_sector = dict(zip(map(str, rng.permutation(LEAVES)), [1, 2, *rng.integers(0, 7, 3)], strict=True))
    organisations = [
        Organisation(f"{name}_{sector}_{n}", sector, str(rng.choice(SIZES)))
        for sector, count in in_sector.items()
        for n in range(int(count))
    ]
    spread = rng.choice([0, 0.3, 1, 1.5])
    sizes = np.clip(np.exp(rng.normal(np.log(14), spread, len(organisations))), 1, 80).astype(int)

    rows: list[Row] = []
    people: list[tuple[str, Organisation, float]] = []  # who answered before, for which organisation, and how kind
    rare = rng.choice([0.02, 0.2, 0.5, 0.9, 1])
    constant = number % 7 == 3  # everybody gives the same grade: nothing varies
    for organisation, size in zip(organisations, sizes, strict=True):
        level, missing = rng.normal(7, 0.7), rng.choice([0, 0.1, 0.6, 1], p=[0.5, 0.3, 0.15, 0.05])
        offered = CHANNELS[: int(rng.choice([1, 2, 3], p=[0.15, 0.15, 0.7]))]
        for _ in range(size):
            same = [p for p in people if p[1] is organisation]
            if same and rng.random() < within:
                person, _, kind = same[rng.integers(len(same))]
            elif people and rng.random() < across:
                person, _, kind = people[rng.integers(len(people))]
            else:
                person, kind = f"p{len(people)}", rng.normal(0, 1)
            people.append((person, organisation, kind))
            weight = np.clip(rng.lognormal(0, 0.5), 0.2, 20)
            row = {
                "response": f"r{len(rows)}", "respondent": person, "organisation": organisation.code,
                "channel": str(rng.choice(offered)),
                "sector": str(rng.choice([organisation.sector, "housing"], p=[0.8, 0.2])),
                "day": f"2024-0{rng.integers(1, 3)}-{rng.integers(1, 29):02}",
                "weight": f"{weight:.{decimals}f}" if decimals else "1",
            }  # fmt: skip

            def cell(answer: str, missing: float = missing) -> str:
                return str(rng.choice(["", "?"])) if rng.random() < missing else answer

            def grade(mean: float = level + kind) -> float:
                return float(np.clip(np.round(2 * rng.normal(mean, 1.2)) / 2, 1, 10))

            graded = [f"grade_{c}" for c in offered] if wide else ["grade"]
            for column in [f"grade_{c}" for c in CHANNELS] if wide else ["grade"]:
                value = 8.0 if constant else grade()
                row[column] = cell(f"{value:g}") if column in graded else ""
            row["recommend"] = cell(str(int(np.clip(np.round(grade() + rng.normal(0, 1)), 0, 10))))
            row["agree"] = cell(str(int(rng.random() < rare)), missing / 2)
            rows.append(row)

    asked = {c: "grade" for c in rows[0] if c.startswith("grade")} | {"recommend": "recommendation", "agree": "agrees"}
    if number % 3 != 0:  # two of the three measures are enough
        left_out = str(rng.choice(["recommendation", "agrees"]))
        asked = {c: m for c, m in asked.items() if m != left_out}
    named = ["response"]
    if within or across:
        named.append("respondent")
    if unit == "organisation" or number % 2:
        named.append("organisation")
    if not wide:
        named.append("channel")
    if stated or "organisation" not in named:
        named.append("sector")
    if dated:
        named.append("day")
    if decimals:
        named.append("weight")
    design = Design(name, organisations, rows, asked, unit, strata, files=int(rng.integers(1, 3)), named=tuple(named))
    if unit == "organisation" and number % 4 != 1 and rng.random() < 0.6:
        design = replace(design, sampled_from=drawn_from(rng, design))
    if unit == "organisation" and not across and not dated and not wide:
        design = replace(design, population=population(rng, design, 1 + number % 2))
    return design


def drawn_from(rng: np.random.Generator, design: Design) -> dict[str, int]:
    """From how many organisations each stratum was drawn: sometimes all of them took part."""
    attribute = {"sector": "sector", "size_class": "size"}.get(design.strata or "")
    strata = [getattr(o, attribute) if attribute else "all" for o in design.organisations]
    return {s: strata.count(s) + int(rng.choice([0, 3, 30], p=[0.15, 0.45, 0.4])) for s in sorted(set(strata))}


def population(rng: np.random.Generator, design: Design, margins: int) -> dict[tuple[str, str], int]:
    """Customers by so many of sector and channel. A margin of which a question lacks a level is left out."""
    customers: dict[tuple[str, str], int] = {}
    answers = list(design.answers())
    for margin in ("sector", "channel"):
        levels = [{a[margin] for a in answers if a["measure"] == m} for m in set(design.questions.values())]
        if len({m for m, _ in customers}) == margins or any(found != levels[0] for found in levels):
            continue
        weight = dict.fromkeys(sorted(levels[0]), 0.0)
        for answer in answers:
            weight[answer[margin]] += float(answer["weight"])
        share = {level: w * rng.uniform(0.6, 1.6) for level, w in weight.items()}
        counts = {level: round(100_000 * s / sum(share.values())) for level, s in share.items()}
        counts[min(counts)] += 100_000 - sum(counts.values())
        customers |= {(margin, level): n for level, n in counts.items()}
    return customers
