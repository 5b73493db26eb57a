"""The code lists: `raw/reference/*.csv`, with the codes that contracts bring along added.

A raw folder that lacks one of the files uses the shipped one. Keeps the lists as text; the
dimension models in `sql/core/` type and label them.
"""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines import population
from pipelines.contracts import AnyQuestion, Coded, Contract, Question, Segment, Wave, measures_of
from pipelines.errors import MeetlatError, listed, there
from pipelines.settings import PROJECT

SHIPPED = PROJECT / "raw" / "reference"

# the columns each list must have, the key first
LISTS: dict[str, tuple[str, ...]] = {
    "monitors": (
        "monitor_code", "label_en", "label_nl", "publisher", "representativeness_en", "representativeness_nl",
    ),
    "audiences": ("audience_code", "label_en", "label_nl", "sort_order"),
    "channels": ("channel_code", "label_en", "label_nl", "sort_order"),
    "sectors": (
        "sector_code", "parent_code", "label_en", "label_nl", "sbi_code", "sbi_version", "sort_order",
    ),
    "measures": (
        "measure_code", "statistic", "frame", "scale_min", "scale_max", "decimals", "unit", "direction",
        "counts", "scale_conversion", "smallest_change", "label_en", "label_nl",
    ),
    "organisations": (
        "organisation_code", "name_en", "name_nl", "sector_code", "size_class", "country_code", "valid_from",
    ),
    "published_figures": (
        "figure_id", "monitor", "publisher", "country", "period_code", "period_start", "period_end", "audience",
        "sector", "channel", "measure", "statistic", "unit", "scale_min", "scale_max", "published_value",
        "decimals_printed", "accept_from", "accept_below", "calibration_target", "base_n", "base_unit",
        "source_published", "inferred", "note",
    ),
    "population": (
        "weighting_code", "monitor_code", "audience_code", "period_code", "margin", "level", "population", "unit",
        "source", "source_date",
    ),
    "drivers": (
        "driver_set_code", "monitor_code", "audience_code", "outcome_measure", "outcome_channel", "driver_measure",
        "driver_channel",
    ),
    "links": (
        "link_code", "monitor_code", "employee_audience", "employee_measure", "customer_audience",
        "customer_measure", "customer_channel",
    ),
}  # fmt: skip

# columns that a list written before them may lack: blank, as if nothing were declared
LATER = {
    "measures": ("scale_conversion", "smallest_change"),
    "monitors": ("representativeness_en", "representativeness_nl"),
}

SEVERAL = ("organisations", "drivers", "population")  # lists in which a key may stand more than once

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Measure:
    """What staging must know of a measure: which numbers are answers, and to how many decimals."""

    code: str
    scale_min: float
    scale_max: float
    decimals: int


def load(raw: Path, contracts: Mapping[str, Contract]) -> dict[str, Rows]:
    """All lists by name, each as its rows in file order. Raises MeetlatError for a list that is not whole."""
    lists = {name: _read(raw, name) for name in LISTS}
    monitors = {row["monitor_code"] for row in lists["monitors"]}
    for name in ("drivers", "links"):  # the shipped ones are of monitors that others may not have
        if not there(raw / "reference" / f"{name}.csv"):
            lists[name] = [row for row in lists[name] if row["monitor_code"] in monitors]
    if not there(raw / "reference" / "population.csv"):
        lists["population"] = []  # the shipped margins are an example with invented numbers: nobody gets them unasked
    for source, contract in contracts.items():
        for name, own in (("channels", contract.codes.channels), ("sectors", contract.codes.sectors)):
            key = LISTS[name][0]
            for item in own:
                row = dict.fromkeys(LISTS[name], "") | {
                    key: item.code, "label_en": item.label_en, "label_nl": item.label_nl, "sort_order": "9000",
                }  # fmt: skip
                if name == "sectors":
                    row["parent_code"] = "all"
                known = next((r for r in lists[name] if r[key] == item.code), None)
                if known and (known["label_en"], known["label_nl"]) != (item.label_en, item.label_nl):
                    raise MeetlatError(
                        f"{source}/contract.yml brings {key} '{item.code}' along with other labels than it "
                        "already has; use those, or another code."
                    )
                if not known:
                    lists[name].append(row)
    lists["segments"] = _segments(contracts)
    waves: dict[str, Wave] = {}
    for source, contract in contracts.items():
        for wave in [contract.wave] if contract.wave else contract.waves.values():
            if waves.setdefault(wave.code, wave) != wave:
                raise MeetlatError(f"{source}/contract.yml gives {wave.code} other days than another contract does.")
    lists["waves"] = [
        {"wave_code": code, "period_start": str(wave.start), "period_end": str(wave.end)}
        for code, wave in sorted(waves.items())
    ]
    drawn = {
        (contract.monitor, contract.audience, stratum): number
        for contract in contracts.values()
        for stratum, number in contract.sampled_from.items()
    }
    lists["sampled_from"] = [
        {"monitor_code": monitor, "audience_code": audience, "stratum_code": stratum, "organisations": str(number)}
        for (monitor, audience, stratum), number in sorted(drawn.items())
    ]
    lists["sources"] = [_source_row(name, contract) for name, contract in sorted(contracts.items())]
    lists["questions"] = [row for name, contract in sorted(contracts.items()) for row in _questions(name, contract)]
    return lists


def _read(raw: Path, name: str) -> Rows:
    path = raw / "reference" / f"{name}.csv"
    if not there(path):
        path = SHIPPED / f"{name}.csv"
    wanted = LISTS[name]
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise MeetlatError(f"{path}: save it as UTF-8.") from None
    with io.StringIO(text, newline="") as file:
        reader = csv.DictReader(file)
        may_lack = LATER.get(name, ())
        if missing := [c for c in wanted if c not in (reader.fieldnames or ()) and c not in may_lack]:
            raise MeetlatError(f"{path} lacks the columns {listed(missing)}; it needs {listed(wanted)}.")
        rows = []
        for number, row in enumerate(reader, start=2):
            if None in row or None in row.values():
                raise MeetlatError(f"{path}, row {number}: has more or fewer cells than the heading.")
            rows.append({c: row.get(c, "").strip() for c in wanted})
    keys = [row[wanted[0]] for row in rows]
    if name not in SEVERAL and (twice := sorted({k for k in keys if keys.count(k) > 1})):
        raise MeetlatError(f"{path}: {wanted[0]} {twice} stand there more than once.")
    return rows


def _segments(contracts: Mapping[str, Contract]) -> Rows:
    """The groups that contracts bring along under `codes.segments`, in their order."""
    known: dict[tuple[str, str], tuple[str, str]] = {}
    for source, contract in contracts.items():
        for item in contract.codes.segments:
            labels = (item.label_en, item.label_nl)
            if known.setdefault((item.segment, item.code), labels) != labels:
                raise MeetlatError(
                    f"{source}/contract.yml brings the {item.segment} '{item.code}' along with other labels than "
                    "another contract does; use those, or another code."
                )
    return [
        {"segment_type": segment, "segment_code": code, "label_en": en, "label_nl": nl, "sort_order": str(place)}
        for place, ((segment, code), (en, nl)) in enumerate(known.items())
    ]


def _source_row(name: str, contract: Contract) -> dict[str, str]:
    return {
        "source_code": name,
        "title": contract.title,
        "monitor_code": contract.monitor,
        "audience_code": contract.audience,
        "country_code": contract.country,
        "sampling_unit": contract.sampling_unit,
        "strata": contract.strata or "",
        "provenance": contract.provenance,
        "controller": contract.controller,
        "purpose": contract.purpose,
        "licence": contract.licence,
    }


def _questions(name: str, contract: Contract) -> Rows:
    """How a source asks for each measure, a row per measure and version of the question, in every `versions` entry."""
    bases: dict[tuple[str, int], set[str]] = {}
    for one in contract.in_turn:
        for _, question in one.questions:
            for code in measures_of(question):
                base = "answered" if isinstance(question, Question) else question.base
                bases.setdefault((code, question.version), set()).add(base)
    return [
        {
            "source_code": name,
            "measure_code": code,
            "question_version": str(version),
            "base": base.pop() if len(base) == 1 else "mixed",
        }
        for (code, version), base in sorted(bases.items())
    ]


def measure(lists: Mapping[str, Rows], code: str, source: str) -> Measure:
    for row in lists["measures"]:
        if row["measure_code"] == code and row["statistic"] != "count":
            try:
                return Measure(code, float(row["scale_min"]), float(row["scale_max"]), int(row["decimals"]))
            except ValueError:
                raise MeetlatError(
                    f"reference/measures.csv, {code}: scale_min, scale_max and decimals must be numbers."
                ) from None
    raise MeetlatError(
        f"{source}/contract.yml names the measure '{code}', which reference/measures.csv does not have; add it "
        "there, or correct the contract."
    )


def faults(lists: Mapping[str, Rows], contracts: Mapping[str, Contract]) -> list[str]:
    """Every code that something names and no list has, as sentences."""
    codes = {name: {row[columns[0]] for row in lists[name]} for name, columns in LISTS.items()}
    found = []

    def need(where: str, column: str, value: str, name: str) -> None:
        if value and value not in codes[name]:
            found.append(f"{where}: {column} '{value}' is not in reference/{name}.csv.")

    parents = {row["parent_code"] for row in lists["sectors"]}

    def need_leaf(where: str, column: str, value: str) -> None:
        # an answer counts once among the sectors without others below them, or these would not add up to all
        need(where, column, value, "sectors")
        if value and value in parents:
            found.append(
                f"{where}: {column} '{value}' has sectors below it in reference/sectors.csv; name one of these, and "
                "if none fits, list one for the others."
            )

    for row in lists["sectors"]:
        need(f"reference/sectors.csv, {row['sector_code']}", "parent_code", row["parent_code"], "sectors")
    for row in lists["organisations"]:
        where = f"reference/organisations.csv, {row['organisation_code']}"
        need_leaf(where, "sector_code", row["sector_code"])
        if not row["valid_from"].endswith("-01"):
            found.append(f"{where}: valid_from '{row['valid_from']}' is not the first of a month.")
    for row in lists["published_figures"]:
        where = f"reference/published_figures.csv, {row['figure_id']}"
        for column in ("monitor", "audience", "sector", "channel", "measure"):
            need(where, column, row[column], column + "s")
    size_classes = {row["size_class"] for row in lists["organisations"]}
    segments = {(row["segment_type"], row["segment_code"]) for row in lists["segments"]}
    found += population.faults(lists["population"], codes, size_classes, segments)
    designs: dict[tuple[str, str], tuple[str, object]] = {}
    for source, contract in contracts.items():
        design = (contract.sampling_unit, contract.strata, contract.sampled_from)
        other, known = designs.setdefault((contract.monitor, contract.audience), (source, design))
        if known != design:
            found.append(
                f"{source}/contract.yml: sampling_unit, strata or sampled_from differ from those of {other}, which "
                "has the same monitor and audience; one sample has one design."
            )
    found += _faults_of_sets(lists, need)
    for source, contract in contracts.items():
        where = f"{source}/contract.yml"
        need(where, "monitor", contract.monitor, "monitors")
        need(where, "audience", contract.audience, "audiences")
        need_leaf(where, "sector", contract.sector or "")
        for measure in contract.measures:
            need(where, "measure", measure, "measures")
        for name, spec in contract.specs:
            if isinstance(spec, Segment):
                for code in spec.values.values():
                    if (spec.segment, code) not in segments:
                        found.append(
                            f"{where}, {name}: the {spec.segment} '{code}' has no labels; add it to `codes.segments` "
                            "of the contract."
                        )
            if isinstance(spec, Coded) and spec.role != "mode":
                for code in spec.values.values():
                    if spec.role == "sector":
                        need_leaf(f"{where}, {name}", spec.role, code)
                    else:
                        need(f"{where}, {name}", spec.role, code, spec.role + "s")
            if isinstance(spec, AnyQuestion) and spec.channel != "row":
                need(f"{where}, {name}", "channel", spec.channel, "channels")
    return found


def _faults_of_sets(lists: Mapping[str, Rows], need: Callable[[str, str, str, str], None]) -> list[str]:
    """What is wrong with the declared drivers and links. Codes that are in no list are given to `need`."""
    found = []
    counts = {row["measure_code"] for row in lists["measures"] if row["statistic"] == "count"}
    for name in ("drivers", "links"):
        for row in lists[name]:
            where = f"reference/{name}.csv, {row[LISTS[name][0]]}"
            for column, value in row.items():
                for part in ("monitor", "audience", "measure", "channel"):
                    if column == f"{part}_code" or column.endswith(f"_{part}"):
                        need(where, column, value, f"{part}s")
                if column.endswith("_measure") and value in counts:
                    found.append(f"{where}: {column} '{value}' counts answers, so no respondent has a value of it.")
    outcomes: dict[str, tuple[str, ...]] = {}
    seen = set()
    for row in lists["drivers"]:
        code, *outcome, measure, channel = (row[column] for column in LISTS["drivers"])
        where = f"reference/drivers.csv, {code}"
        if outcomes.setdefault(code, tuple(outcome)) != tuple(outcome):
            found.append(f"{where}: a set has one monitor, audience and outcome; its rows give several.")
        if (measure, channel) == tuple(outcome[2:]) or (code, measure, channel) in seen:
            found.append(f"{where}: {measure}, {channel} stands there twice, or is the outcome itself.")
        seen.add((code, measure, channel))
    return found
