"""What a release notes down of its inputs, item by item, so that a later one can tell what went in otherwise."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipelines.parts import JSON, digest

if TYPE_CHECKING:
    from pipelines.contracts import Contract
    from pipelines.models import Model
    from pipelines.plan import Inputs

# lists that are made of contracts or rules alone, which are noted themselves
MADE = ("sources", "questions", "segments", "waves", "sampled_from", "published_periods")
TOLD = 20  # new deliveries of a source, by name
# columns that make an item of a list; all others have it in their first column
ITEM = {"population": ("monitor_code", "audience_code", "period_code")}
# keys of a contract that describe the source and move no figure
WORDS = ("title", "controller", "purpose", "licence", "retain_until", "gate", "corrections")
# keys that the estimates use after the answers are counted
DESIGN = ("monitor", "audience", "sampling_unit", "strata", "sampled_from", "provenance", "wave", "waves", "codes")


def record(inputs: "Inputs") -> dict[str, JSON]:
    """The part of `manifest.json` that says what went in."""
    from pipelines import plan

    agreed = {s.name: s.contract for s in inputs.sources.values()}
    asked: dict[str, dict[str, dict[str, str]]] = {}  # source → measure → version of the question → base
    for row in inputs.lists["questions"]:
        asked.setdefault(row["source_code"], {}).setdefault(row["measure_code"], {})[row["question_version"]] = row[
            "base"
        ]
    return {
        "contracts": {
            s.name: _contract(s.contract, s.measures, asked.get(s.name, {})) for s in inputs.sources.values()
        },
        "lists": {name: _items(name, rows, agreed) for name, rows in inputs.lists.items() if name not in MADE},
        "rules": digest(inputs.rules.model_dump(mode="json")),
        "models": {
            m.name: {"made_of": digest(m.canonical), "reads": _reads(m), "grain": m.grain}
            for m in inputs.models.values()
        },
        "code": {
            "staging": digest([plan.code(*plan.STAGING_CODE), plan.versions()]),
            "models": digest([plan.code(*plan.MODEL_CODE), plan.versions()]),
            "disclosure": digest([plan.code("disclosure", "audit"), plan.versions(plan.RELEASE_LIBRARIES)]),
        },
    }


def news(inputs: "Inputs", earlier: Mapping[str, JSON]) -> list[str]:
    """What went in otherwise than into the release with this manifest, a sentence each; nothing if there is none."""
    if not earlier:
        return []
    now, said = record(inputs), []
    for name, source in inputs.sources.items():
        before = {d["sha256"] for d in earlier["sources"].get(name, {}).get("deliveries", [])}
        came = [d for d in source.deliveries if d.sha256 not in before]
        gone = len(before - {d.sha256 for d in source.deliveries})
        said += [f"{name}/{d.path.name} is new." for d in came[:TOLD]]
        said += [f"{name}: {len(came):,} deliveries are new."] if len(came) > TOLD else []
        said += [f"{name}: {gone} deliveries are gone."] if gone else []
    for what, words in (
        ("contracts", "{}/contract.yml, its corrections or its measures changed."),
        ("models", "{}: its query or header changed."),
        ("lists", "reference/{}.csv changed."),
        ("code", "Code or libraries changed: {}."),
    ):
        of = {**earlier.get(what, {}), **now[what]}
        said += [words.format(name) for name in sorted(of) if earlier.get(what, {}).get(name) != now[what].get(name)]
    said += ["reference/disclosure.yml changed."] if earlier.get("rules") != now["rules"] else []
    said += ["Somebody was erased."] if earlier.get("erasures", {}) != inputs.erasures else []
    return said


def _contract(contract: "Contract", measures: Mapping[str, JSON], asked: JSON) -> JSON:
    whole = contract.model_dump(mode="json")
    return {
        "monitor": contract.monitor,
        "audience": contract.audience,
        "words": digest({k: whole[k] for k in WORDS if k != "corrections"}),
        "design": digest({k: whole[k] for k in DESIGN}),
        "reading": digest({k: v for k, v in whole.items() if k not in WORDS}),
        "corrections": digest(whole["corrections"]),
        "measures": digest({k: vars(m) for k, m in measures.items()}),
        "questions": asked,
    }


def _items(name: str, rows: list[dict[str, str]], contracts: Mapping[str, "Contract"]) -> dict[str, str]:
    """A digest of the rows of every item; what contracts bring along is not the list's."""
    brought = {
        each.code for contract in contracts.values() for each in getattr(contract.codes, name, ())
    }  # fmt: skip
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        key = [row[c] for c in ITEM.get(name, tuple(row)[:1])]
        if name not in ("channels", "sectors") or key[0] not in brought:
            found.setdefault("|".join(key), []).append(row)
    return {item: digest(its) for item, its in found.items()}


def _reads(model: "Model") -> list[str]:
    """The tables that its rows come from: not those that only its checks look at."""
    query = " ".join(model.canonical[0].split())
    return [table for table in model.upstreams if table in query]
