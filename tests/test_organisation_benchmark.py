"""Each organisation against its peers, and how organisations are spread, recomputed from the answers.

One small survey, written by this module, goes through the whole pipeline. Every column of both marts
is computed again from its rows, in plain Python and straight from the definitions: peers are listed
one by one, errors are sums over respondents and over organisations. A second monitor holds the same
rows with respondents as the sampling unit, and must have no rows at all.
"""

import csv
import datetime as dt
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from conftest import PROJECT, Once, Place, sha256
from scipy import stats

SECTORS = {"all": "", "public": "all", "gov": "public", "housing": "public", "not_applicable": "all"}
PERIODS = {"2024": (1, 6), "2024-Q1": (1, 3), "2024-Q2": (4, 6)}  # months
CHANNELS = ("email", "phone", "web")
MEASURES = {  # column of the export, statistic, size of a step, good direction
    "channel_rating": ("grade", "mean", 10, 1),
    "recommendation": ("recommend", "nps", 1, 1),
    "loses_six_hours_a_week_or_more": ("loses", "share", 1, -1),
    "found_new_suppliers": ("found", "share", 1, None),
}
BY_CHANNEL = "channel_rating"
# code: sector, size class, respondents, mean grade
ORGANISATIONS = {
    "o01": ("gov", "small", 34, 5.6), "o02": ("gov", "large", 31, 6.2), "o03": ("gov", "small", 26, 7.6),
    "o04": ("gov", "small", 30, 7.1), "o05": ("gov", "large", 28, 6.7), "o06": ("gov", "small", 25, 8.3),
    "o07": ("housing", "small", 9, 7.0), "o08": ("housing", "small", 30, 6.6), "o09": ("housing", "small", 30, 6.6),
    "o10": ("housing", "large", 36, 9.0), "o11": ("housing", "small", 1, 4.0), "o12": ("housing", "small", 29, 8.0),
    "o13": ("housing", "small", 12, 6.9),
}  # fmt: skip
MOVED, MOVED_TO, MOVED_ON = "o06", "housing", dt.date(2024, 4, 1)  # a government body that became a housing association
TWIN = ("o08", "o09")  # two organisations with the very same answers
AGREED = "o13"  # nobody there loses hours, and all recommend it with an 8
NO_WEB = "o12"  # nobody there is asked about the web

Row = dict[str, Any]
Key = tuple[str, ...]


class Held(NamedTuple):
    """What a respondent holds in a cell: answers, sum of weights, sum of weight times score."""

    n: int
    w: float
    t: float


Cells = dict[tuple[str, str], dict[str, Held]]  # by channel and organisation, then by respondent

# --- the survey ----------------------------------------------------------------------------------


def survey() -> list[Row]:
    """One row a response. Many respondents come twice, some over the same channel and some in another quarter."""
    chance = random.Random(20240401)
    rows: list[Row] = []
    for organisation, (_, _, respondents, mean) in ORGANISATIONS.items():
        if organisation == TWIN[1]:
            for row in [r for r in rows if r["organisation"] == TWIN[0]]:
                rows.append(
                    row | {k: f"twin {row[k]}" for k in ("response", "respondent")} | {"organisation": organisation}
                )
            continue
        for number in range(respondents):
            mood = chance.gauss(0, 0.9)
            for time in range(chance.choice((1, 1, 2, 3))):
                channel = chance.choice([c for c in CHANNELS if (organisation, c) != (NO_WEB, "web")])
                grade = mean + mood + {"email": -0.8, "phone": 0.5, "web": 0.0}[channel] + chance.gauss(0, 0.6)
                recommend = min(10, max(0, round(grade + chance.gauss(0.8, 0.5))))
                rows.append({
                    "response": f"{organisation}-{number}-{time}",
                    "respondent": f"{organisation}-{number}",
                    "organisation": organisation,
                    "date": dt.date(2024, chance.randint(1, 6), chance.randint(1, 28)),
                    "channel": channel,
                    "weight": chance.choice((0.5, 1.0, 1.25, 2.0)),
                    "grade": None if chance.random() < 0.05 else min(10.0, max(1.0, round(2 * grade) / 2)),
                    "recommend": 8 if organisation == AGREED else recommend,
                    "loses": int(organisation != AGREED and chance.random() < (9.4 - mean) / 5),
                    "found": int(chance.random() < 0.5),
                })  # fmt: skip
    return rows


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([list(columns), *rows])


def write_reference(raw: Path) -> None:
    folder = raw / "reference"
    monitors = [(code, code, code, "nobody") for code in ("bought", "people")]
    write_csv(folder / "monitors.csv", ("monitor_code", "label_en", "label_nl", "publisher"), monitors)
    write_csv(
        folder / "sectors.csv",
        ("sector_code", "parent_code", "label_en", "label_nl", "sbi_code", "sbi_version", "sort_order"),
        [(code, parent, code, code, "", "", place) for place, (code, parent) in enumerate(SECTORS.items())],
    )
    versions = [(c, sector, size, "2000-01-01") for c, (sector, size, *_) in ORGANISATIONS.items()]
    versions.append((MOVED, MOVED_TO, ORGANISATIONS[MOVED][1], str(MOVED_ON)))
    write_csv(
        folder / "organisations.csv",
        ("organisation_code", "name_en", "name_nl", "sector_code", "size_class", "country_code", "valid_from"),
        [(code, code, code, sector, size, "NL", start) for code, sector, size, start in versions],
    )
    with (PROJECT / "raw" / "reference" / "published_figures.csv").open() as shipped:
        write_csv(folder / "published_figures.csv", next(csv.reader(shipped)), [])


def write_source(raw: Path, name: str, unit: str, rows: list[Row]) -> None:
    questions = {
        column: {"role": "question", "measure": measure} | ({"channel": "row"} if measure == BY_CHANNEL else {})
        for measure, (column, *_) in MEASURES.items()
    }
    contract = {
        "title": f"Benchmark, {name}", "monitor": name, "audience": "customer", "country": "NL",
        "provenance": "synthetic", "controller": "Meetlat tests", "purpose": "test", "licence": "MIT",
        "sampling_unit": unit, "files": "*.csv",
        "format": {"kind": "csv", "encoding": "utf-8", "delimiter": ","},
        "delivery": {"mode": "append", "order": r"(\d{4})"},
        "columns": {
            "response": {"role": "response"}, "respondent": {"role": "respondent"},
            "organisation": {"role": "organisation"}, "date": {"role": "date", "format": "%Y-%m-%d"},
            "channel": {"role": "channel", "values": {c: c for c in CHANNELS}}, "weight": {"role": "weight"},
            **questions,
        },
    }  # fmt: skip
    write_csv(raw / name / "answers_2024.csv", rows[0], [row.values() for row in rows])
    (raw / name / "contract.yml").write_text(yaml.safe_dump(contract, sort_keys=False))


def make(folder: Path, rows: list[Row], threads: int) -> Place:
    place = Place(folder)
    write_reference(place.raw)
    write_source(place.raw, "bought", "organisation", rows)
    write_source(place.raw, "people", "respondent", rows)
    place.refresh_here(threads)
    return place


@pytest.fixture(scope="session")
def place(once: Once) -> Place:
    """The release of the survey. Only to look at."""

    def build(folder: Path) -> None:
        make(folder, survey(), threads=2)

    return Place(once("organisation_benchmark", build))


def table(place: Place, name: str, grain: str) -> dict[Key, Row]:
    columns = [c for (c,) in place.query(f"SELECT column_name FROM (DESCRIBE mart.{name})")]
    rows = [dict(zip(columns, row, strict=True)) for row in place.query(f"SELECT * FROM mart.{name}")]
    found = {tuple(row[g] for g in grain.split()): row for row in rows}
    assert len(found) == len(rows)
    return found


def benchmark(place: Place) -> dict[Key, Row]:
    return table(
        place, "organisation_benchmark", "period_code measure_code channel_code organisation_code peer_group_code"
    )


# --- the same from the answers ----------------------------------------------------------------------


def score(measure: str, answer: float) -> float:
    match MEASURES[measure][1]:
        case "nps":
            return 100.0 if answer >= 9 else 0.0 if answer >= 7 else -100.0
        case "share":
            return 100.0 * answer
    return answer


def cells(rows: list[Row], measure: str, months: tuple[int, int]) -> Cells:
    """By channel and organisation: what each respondent holds."""
    found: Cells = defaultdict(dict)
    for row in rows:
        answer = row[MEASURES[measure][0]]
        if answer is None or not months[0] <= row["date"].month <= months[1]:
            continue
        for channel in (row["channel"] if measure == BY_CHANNEL else "not_applicable", "all"):
            held = found[channel, row["organisation"]]
            n, w, t = held.get(row["respondent"], Held(0, 0.0, 0.0))
            held[row["respondent"]] = Held(n + 1, w + row["weight"], t + row["weight"] * score(measure, answer))
    return found


def total(held: dict[str, Held]) -> tuple[float, float]:
    return math.fsum(h.w for h in held.values()), math.fsum(h.t for h in held.values())


def mean(held: dict[str, Held]) -> float:
    w, t = total(held)
    return t / w


def variance(held: dict[str, Held]) -> float | None:
    """Of the mean, with respondents as clusters; None where it cannot be known, 0 where all agree."""
    n, (w, t) = len(held), total(held)
    if n < 2:
        return None
    v = n / (n - 1) * math.fsum(((h.t - t / w * h.w) / w) ** 2 for h in held.values())
    return v if v > 1e-20 else 0.0


def between(values: list[float], variances: list[float]) -> float:
    """tau squared: the variance of the values less what sampling noise makes of it."""
    m = math.fsum(values) / len(values)
    spread = math.fsum((x - m) ** 2 for x in values) / (len(values) - 1)
    return max(0.0, spread - math.fsum(variances) / len(variances))


def type_7(values: list[float], p: float) -> float:
    ordered = sorted(values)
    place = (len(ordered) - 1) * p
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def groups(organisation: str, period: str) -> Iterator[tuple[str, str, str, str]]:
    """Type, code, sector and size of the peer groups that an organisation is in."""
    sector, size, *_ = ORGANISATIONS[organisation]
    if organisation == MOVED and PERIODS[period][1] >= MOVED_ON.month:
        sector = MOVED_TO
    yield "all", "all", "all", "all"
    yield "size_class", size, "all", size
    while sector != "all":
        yield "sector", sector, sector, "all"
        yield "sector_size_class", f"{sector}/{size}", sector, size
        sector = SECTORS[sector]


def of_peers(w: list[float], y: list[float]) -> tuple[float, float]:
    """Variance of the mean of y with weights w, each a cluster, and its degrees of freedom.

    Below thirty effective ones CR2 of Bell and McCaffrey (2002), in matrices: the regression of sqrt(w) y on sqrt(w).
    """
    k, total_w = len(w), math.fsum(w)
    if total_w**2 / math.fsum(x * x for x in w) >= 30:
        r = math.fsum(a * b for a, b in zip(w, y, strict=True)) / total_w
        return k / (k - 1) * math.fsum((a * (b - r) / total_w) ** 2 for a, b in zip(w, y, strict=True)), k - 1
    x = np.sqrt(np.array(w))
    residual_maker = np.eye(k) - np.outer(x, x) / total_w
    p = residual_maker * (x / np.sqrt(np.diag(residual_maker)) / total_w)  # a column for each cluster
    g = p.T @ p
    return float(((p.T @ (x * np.array(y))) ** 2).sum()), float(np.trace(g) ** 2 / (g**2).sum())


def noise(measure: str, held: dict[str, Held]) -> float | None:
    """What sampling alone does to the value; where respondents are of one mind it can be told for shares only."""
    v, n = variance(held), len(held)
    if v is None or (v == 0 and MEASURES[measure][1] != "share"):
        return None
    p = (n * mean(held) / 100 + 0.5) / (n + 1)
    return v or 1e4 * p * (1 - p) / n


def welch(own: float, own_df: float, peers: float, peers_df: float) -> float:
    return (own + peers) ** 2 / (own**2 / own_df + peers**2 / peers_df)


def share_interval(p: float, v: float, df: int, n: float) -> tuple[float, float, str]:
    """Of a share between 0 and 1: logit, or Wilson on the effective number with few answers on a side."""
    t, effective = stats.t.ppf(0.975, df), p * (1 - p) / v if v else n
    if effective * min(p, 1 - p) < 5:
        middle, half = p + t * t / 2 / effective, t * math.sqrt(p * (1 - p) / effective + (t / 2 / effective) ** 2)
        low, high = ((middle + sign * half) / (1 + t * t / effective) for sign in (-1, 1))
        return (0.0 if p == 0 else low), (1.0 if p == 1 else high), "wilson"
    reach = t * math.sqrt(v) / (p * (1 - p))
    low, high = (1 / (1 + math.exp(-math.log(p / (1 - p)) - sign * reach)) for sign in (-1, 1))
    return low, high, "logit"


def own_columns(measure: str, held: dict[str, Held]) -> Row:
    r, v, n = mean(held), variance(held), len(held)
    row: Row = {
        "value": r, "n_respondents": n, "n_answers": sum(h.n for h in held.values()),
        "se": math.sqrt(v) if v else None,
        "df": None, "ci_low": None, "ci_high": None, "ci_method": None,
    }  # fmt: skip
    if v is not None and MEASURES[measure][1] == "share":
        n_kish = math.fsum(h.w for h in held.values()) ** 2 / math.fsum(h.w**2 for h in held.values())
        low, high, method = share_interval(r / 100, v / 1e4, n - 1, n_kish)
        row |= {"df": n - 1, "ci_low": 100 * low, "ci_high": 100 * high, "ci_method": method}
    elif v:
        reach = stats.t.ppf(0.975, n - 1) * math.sqrt(v)
        row |= {"df": n - 1, "ci_low": r - reach, "ci_high": r + reach, "ci_method": "t"}
    return row


def mix_columns(own: dict[str, dict[str, Held]], peers: dict[str, dict[str, dict[str, Held]]], n: int) -> Row:
    """With the peers' mix. `own` by channel, `peers` by organisation and channel."""
    weight = {c: math.fsum(total(p[c])[0] for p in peers.values() if c in p) for c in CHANNELS}
    both = [c for c in CHANNELS if c in own and weight[c]]
    w = math.fsum(weight[c] for c in both)
    row: Row = {"mix_coverage": w / math.fsum(weight.values())}
    if row["mix_coverage"] < 0.8:
        return row
    share = {c: weight[c] / w for c in both}
    adjusted = math.fsum(share[c] * mean(own[c]) for c in both)
    peer = math.fsum(total(p[c])[1] for p in peers.values() for c in both if c in p) / w
    gap = adjusted - peer
    row |= {"value_mix_adjusted": adjusted, "gap_mix_adjusted": gap}
    if any(len(own[c]) < 2 for c in both):
        return row
    # own part: one cluster per respondent, whatever the channels
    z: dict[str, float] = defaultdict(float)
    for c in both:
        n_c, w_c, r_c = len(own[c]), total(own[c])[0], mean(own[c])
        for respondent, h in own[c].items():
            z[respondent] += share[c] * math.sqrt(n_c / (n_c - 1)) * (h.t - r_c * h.w) / w_c
    v = math.fsum(x * x for x in z.values())
    # peers: the gap is the mean of how far their answers are from the organisation's own value of the channel
    apart = []
    for p in peers.values():
        held = {c: total(p[c]) for c in both if c in p}
        w_p = math.fsum(w_c for w_c, _ in held.values())
        apart.append((w_p, math.fsum(w_c * mean(own[c]) - t_c for c, (w_c, t_c) in held.items()) / w_p))
    peer_v, peer_df = of_peers(*map(list, zip(*apart, strict=True)))
    df = welch(v, n - len(both), peer_v, peer_df)
    reach = stats.t.ppf(0.975, df) * math.sqrt(v + peer_v)
    return row | {
        "gap_mix_adjusted_se": math.sqrt(v + peer_v), "gap_mix_adjusted_df": df,
        "gap_mix_adjusted_ci_low": gap - reach, "gap_mix_adjusted_ci_high": gap + reach,
    }  # fmt: skip


def group_rows(measure: str, channel: str, held: dict[str, dict[str, Held]], whole: Cells) -> dict[str, Row]:
    """The columns of every organisation of one peer group; `whole` holds the cells of every channel."""
    sign = MEASURES[measure][3]
    r = {o: mean(h) for o, h in held.items()}
    v = {o: variance(h) for o, h in held.items()}
    sampling = {o: noise(measure, h) for o, h in held.items()}
    solid = [o for o in held if sampling[o] and len(held[o]) >= 10]
    tau2 = between([r[o] for o in solid], [sampling[o] or 0 for o in solid]) if len(solid) >= 5 else None
    reliability = {o: tau2 / (tau2 + (sampling[o] or 0)) for o in held if tau2 is not None and sampling[o]}
    ranked = {o: sign * r[o] for o in solid if sign and reliability.get(o, 0) >= 0.7}
    found = {}
    for o in held:
        row = own_columns(measure, held[o])
        peers = [p for p in held if p != o]
        k, w, t = len(peers), *(math.fsum(x) for x in zip(*(total(held[p]) for p in peers), strict=True))
        peer = t / w
        weights = [total(held[p])[0] for p in peers]
        peer_v, peer_df = of_peers(weights, [r[p] for p in peers])
        effective = w * w / math.fsum(x * x for x in weights)
        row |= {
            "n_peers": k, "n_peer_answers": sum(h.n for p in peers for h in held[p].values()),
            "peer_value": peer, "peer_se": math.sqrt(peer_v), "peer_df": peer_df,
            "n_peers_effective": effective, "obs_status": "u" if effective < 10 else None,
            "peer_value_organisations_equal": math.fsum(r[p] for p in peers) / k, "gap": r[o] - peer,
        }  # fmt: skip
        if v_o := v[o]:
            se, df = math.sqrt(v_o + peer_v), welch(v_o, len(held[o]) - 1, peer_v, peer_df)
            reach = stats.t.ppf(0.975, df) * se
            row |= {"gap_se": se, "gap_df": df, "gap_ci_low": row["gap"] - reach, "gap_ci_high": row["gap"] + reach}
            if len(held[o]) >= 10:
                row["p_value"] = 2 * stats.t.sf(abs(row["gap"]) / se, df)
        others = [p for p in solid if p != o]
        if len(others) >= 4:
            expected = math.fsum(r[p] for p in others) / len(others)
            row["expected_value"] = expected
            if o in solid:
                spread = between([r[p] for p in others], [sampling[p] or 0 for p in others])
                reach = 1.96 * math.sqrt((sampling[o] or 0) + spread)
                row |= {"expected_low": expected - reach, "expected_high": expected + reach}
                if sign:
                    far = sign * (r[o] - expected)
                    row["expected_range"] = "better" if far > reach else "worse" if far < -reach else "as_expected"
            if o in reliability:
                row["value_shrunken"] = reliability[o] * r[o] + (1 - reliability[o]) * expected
        row["reliability"] = reliability.get(o)
        row["between_organisation_sd"] = math.sqrt(tau2) if tau2 is not None else None
        row["n_ranked"] = len(ranked)
        if o in ranked and len(ranked) >= 5:
            mine = ranked[o]
            better = sum(x > mine + 1e-9 for x in ranked.values())
            equal = sum(abs(x - mine) <= 1e-9 for x in ranked.values())
            row["rank"] = 1 + better
            row["percentile_rank"] = 100 * (len(ranked) - better - equal + 0.5 * equal) / len(ranked)
            row["quartile"] = 1 + sum(mine > type_7([*ranked.values()], p) + 1e-9 for p in (0.25, 0.5, 0.75))
        elif sign is None:
            row["not_ranked_reason"] = "no_direction"
        elif len(held[o]) < 10:
            row["not_ranked_reason"] = "few_respondents"
        elif not sampling[o]:
            row["not_ranked_reason"] = "unknown_se"
        elif len(solid) < 5 or reliability[o] >= 0.7:
            row["not_ranked_reason"] = "few_organisations"
        else:
            row["not_ranked_reason"] = "unreliable"
        if measure == BY_CHANNEL and channel == "all":
            by_channel = {p: {c: whole[c, p] for c in CHANNELS if (c, p) in whole} for p in held}
            row |= mix_columns(by_channel[o], {p: by_channel[p] for p in peers}, len(held[o]))
        found[o] = row
    return found


def recomputed(rows: list[Row]) -> dict[Key, Row]:
    found: dict[Key, Row] = {}
    families: dict[str, list[Key]] = defaultdict(list)
    for period, months in PERIODS.items():
        for measure in MEASURES:
            whole = cells(rows, measure, months)
            for channel in sorted({c for c, _ in whole}):
                members: dict[tuple[str, str, str, str], dict[str, dict[str, Held]]] = defaultdict(dict)
                for (c, organisation), people in whole.items():
                    for group in groups(organisation, period) if c == channel else ():
                        members[group][organisation] = people
                for (kind, code, sector, size), held in members.items():
                    if len(held) < 5:
                        continue
                    for organisation, row in group_rows(measure, channel, held, whole).items():
                        key: Key = (period, measure, channel, organisation, code)
                        row |= {"peer_group_type": kind, "peer_sector_code": sector, "peer_size_class": size}
                        found[key] = row
                        if row.get("p_value") is not None and channel != "not_applicable":  # it stands under `all` too
                            families[f"bought/customer/{period}/{kind}"].append(key)
    for family, keys in families.items():
        keys.sort(key=lambda key: found[key]["p_value"])
        for key in keys:
            p = found[key]["p_value"]
            q = min(
                len(keys) * found[other]["p_value"] / place
                for place, other in enumerate(keys, start=1)
                if found[other]["p_value"] >= p
            )
            channels = ("all", "not_applicable") if key[1] != BY_CHANNEL else (key[2],)
            for channel in channels:
                found[(*key[:2], channel, *key[3:])] |= {
                    "q_value": min(q, 1.0),
                    "family_id": family,
                    "family_size": len(keys),
                }
    return found


FIXED = {
    "monitor_code", "period_code", "audience_code", "organisation_code", "channel_code", "measure_code",
    "peer_group_code", "period_type", "period_start", "period_end", "statistic", "unit", "provenance",
}  # fmt: skip


def test_every_column_is_what_the_answers_say(place: Place) -> None:
    found, true = benchmark(place), recomputed(survey())
    assert found.keys() == true.keys()
    assert len(found) > 1500
    filled = set()
    for key, row in found.items():
        for column in row.keys() - FIXED:
            value = true[key].get(column)
            if isinstance(value, float):
                value = pytest.approx(value, rel=1e-9, abs=1e-9)
            assert row[column] == value, (key, column)
            filled |= {column} if row[column] is not None else set()
        assert row.keys() >= true[key].keys()
        assert row["monitor_code"] == "bought" and row["provenance"] == "synthetic"
    assert filled == next(iter(found.values())).keys() - FIXED  # a column that is always blank proves nothing


def test_every_case_occurs(place: Place) -> None:
    """What the recomputation walks through is not only the easy half."""
    rows = benchmark(place).values()
    assert {r["not_ranked_reason"] for r in rows} == {
        None, "no_direction", "few_respondents", "unknown_se", "few_organisations", "unreliable",
    }  # fmt: skip
    assert {r["expected_range"] for r in rows} == {None, "better", "as_expected", "worse"}
    assert {r["ci_method"] for r in rows} == {None, "t", "wilson", "logit"}
    assert {r["peer_group_type"] for r in rows} == {"all", "sector", "size_class", "sector_size_class"}
    assert {r["quartile"] for r in rows} == {None, 1, 2, 3, 4}
    repeats = [r for r in rows if r["n_respondents"] < r["n_answers"]]
    assert 0 < len(repeats) < len(rows)


def test_small_organisations_are_not_ranked(place: Place) -> None:
    small = [r for r in benchmark(place).values() if r["n_respondents"] < 10]
    assert {"o07", "o11"} <= {r["organisation_code"] for r in small}
    for row in small:
        assert row["value"] is not None and row["peer_value"] is not None
        ranks = ("rank", "quartile", "percentile_rank", "expected_range", "expected_low", "p_value", "q_value")
        assert [row[c] for c in ranks] == [None] * len(ranks)
    single = [r for r in small if r["n_respondents"] == 1]
    assert single and all(r["se"] is None and r["gap_se"] is None and r["gap"] is not None for r in single)


def test_fewer_than_five_organisations_are_left_out(place: Place) -> None:
    codes = {r["peer_group_code"] for r in benchmark(place).values()}
    large = [o for o, (_, size, *_) in ORGANISATIONS.items() if size == "large"]
    assert len(large) < 5 and "large" not in codes
    assert "small" in codes and "housing/small" in codes
    year = [r for key, r in benchmark(place).items() if key[:3] == ("2024", BY_CHANNEL, "all")]
    assert sorted(r["organisation_code"] for r in year if r["peer_group_code"] == "gov") == [
        "o01",
        "o02",
        "o03",
        "o04",
        "o05",
    ]
    assert all(r["n_peers"] == 4 for r in year if r["peer_group_code"] == "gov")


def test_sector_is_that_of_the_end_of_the_period(place: Place) -> None:
    found = benchmark(place)
    for period, sector, other in (
        ("2024-Q1", "gov", "housing"),
        ("2024-Q2", "housing", "gov"),
        ("2024", "housing", "gov"),
    ):
        assert (period, BY_CHANNEL, "all", MOVED, sector) in found
        assert (period, BY_CHANNEL, "all", MOVED, other) not in found


def test_a_sample_of_respondents_has_no_rows(place: Place) -> None:
    assert place.query("SELECT count(*) FROM mart.measure_score WHERE monitor_code = 'people'")[0][0] > 0
    for mart in ("organisation_benchmark", "organisation_percentile"):
        assert place.query(f"SELECT DISTINCT monitor_code FROM mart.{mart}") == [("bought",)]


def test_lower_is_better_ranks_the_other_way(place: Place) -> None:
    for measure, sign in (("loses_six_hours_a_week_or_more", -1), (BY_CHANNEL, 1)):
        rows = [r for key, r in benchmark(place).items() if key[:3] == ("2024", measure, "all") and key[4] == "all"]
        ranked = sorted((r for r in rows if r["rank"]), key=lambda r: -sign * r["value"])
        assert len(ranked) >= 5
        assert [r["rank"] for r in ranked] == sorted(r["rank"] for r in ranked)
        assert ranked[0]["rank"] == 1 and ranked[0]["quartile"] == 4 and ranked[-1]["quartile"] == 1
        assert ranked[0]["percentile_rank"] > ranked[-1]["percentile_rank"]


def test_equal_values_share_a_rank(place: Place) -> None:
    rows = {
        key[3]: r for key, r in benchmark(place).items() if key[:3] == ("2024", BY_CHANNEL, "all") and key[4] == "all"
    }
    one, other = (rows[o] for o in TWIN)
    shared = ("value", "se", "rank", "quartile", "percentile_rank", "peer_value", "gap", "p_value", "q_value")
    assert one["rank"] is not None
    assert [one[c] for c in shared] == [other[c] for c in shared]
    ranks = sorted(r["rank"] for r in rows.values() if r["rank"])
    assert ranks.count(one["rank"]) == 2 and one["rank"] + 1 not in ranks


def test_all_of_one_mind_claims_no_error(place: Place) -> None:
    """Twelve respondents who all recommend with an 8: nothing tells how far chance moves that."""
    row = benchmark(place)["2024", "recommendation", "all", AGREED, "all"]
    assert row["value"] == 0 and row["n_respondents"] >= 10
    assert [row[c] for c in ("se", "ci_low", "gap_se", "p_value", "reliability", "rank")] == [None] * 6
    assert row["not_ranked_reason"] == "unknown_se"


def test_a_share_of_none_is_ranked_and_expected_of_others(place: Place) -> None:
    """Twelve respondents of whom none loses hours: no error is claimed, and yet nobody does better."""
    rows = benchmark(place)
    row = rows["2024", "loses_six_hours_a_week_or_more", "all", AGREED, "all"]
    assert row["value"] == 0 and row["n_respondents"] >= 10
    assert row["ci_method"] == "wilson" and row["ci_low"] == 0 and row["ci_high"] > 10
    assert [row[c] for c in ("se", "gap_se", "p_value")] == [None] * 3
    assert (row["rank"], row["expected_range"]) == (1, "better") and row["value_shrunken"] > 0
    other = rows["2024", "loses_six_hours_a_week_or_more", "all", "o10", "all"]
    solid = [r["value"] for k, r in rows.items() if k[:3] + k[4:] == ("2024", row["measure_code"], "all", "all")
             and r["n_respondents"] >= 10 and k[3] != "o10"]  # fmt: skip
    assert 0 in solid and other["expected_value"] == pytest.approx(sum(solid) / len(solid))


def test_mix_is_adjusted_for_channels_that_both_have(place: Place) -> None:
    """An organisation without a channel that makes up a third of its peers' contacts cannot be given their mix."""
    row = benchmark(place)["2024", BY_CHANNEL, "all", NO_WEB, "all"]
    assert 0.5 < row["mix_coverage"] < 0.8
    assert row["value_mix_adjusted"] is None and row["gap_mix_adjusted"] is None and row["gap"] is not None
    full = [r for r in benchmark(place).values() if r["gap_mix_adjusted_se"] is not None]
    assert full and all(r["channel_code"] == "all" and r["measure_code"] == BY_CHANNEL for r in full)
    assert any(abs(r["gap_mix_adjusted"] - r["gap"]) > 0.05 for r in full)


def test_percentiles_of_organisations(place: Place) -> None:
    found = table(place, "organisation_percentile", "period_code measure_code channel_code sector_code")
    rows = survey()
    months = PERIODS | {f"2024-{m:02}": (m, m) for m in range(1, 7)}
    checked = 0
    for period, span in months.items():
        for measure, (_, statistic, *_) in MEASURES.items():
            whole = cells(rows, measure, span)
            for channel in {c for c, _ in whole}:
                values = [mean(held) for (c, _), held in whole.items() if c == channel and len(held) >= 10]
                row = found.pop((period, measure, channel, "all"), None)
                assert (row is None) == (len(values) < 10), (period, measure, channel)
                if row:
                    for column, p in (("p10", 0.1), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p90", 0.9)):
                        assert row[column] == pytest.approx(type_7(values, p), rel=1e-12, abs=1e-9)
                    assert row["n_organisations"] == len(values) and row["statistic"] == statistic
                    checked += 1
    assert checked > 10
    assert {key[3] for key in found} <= {"all", "public"}  # and rolling years, which end in other months


def test_who_may_see_them(place: Place) -> None:
    """The benchmark names participants; the percentiles name nobody."""
    seen = {n for (n,) in place.query("SELECT table_name FROM meta.table", "benchmark.duckdb")}
    assert "mart.organisation_percentile" in seen
    open_tables = place.query("SELECT table_name FROM information_schema.tables", "benchmark.duckdb")
    assert ("organisation_percentile",) in open_tables and ("organisation_benchmark",) not in open_tables


@pytest.mark.long
def test_order_of_rows_and_threads_change_no_byte(place: Place, tmp_path: Path) -> None:
    rows = survey()
    random.Random(1).shuffle(rows)
    other = make(tmp_path / "shuffled", rows, threads=1)
    for mart in ("restricted/parquet/mart.organisation_benchmark", "parquet/mart.organisation_percentile"):
        (one,), (two,) = (
            list(p.current.glob(f"{mart.split('/mart.')[0]}/**/*{mart.split('.')[-1]}*")) for p in (place, other)
        )
        assert sha256(one) == sha256(two)
