"""The same benchmark with pandas: what a data scientist would write.

From the same files to the same pseudonyms, cube and marts as `bare_engine.py`, whose docstring says what is made and
what is left out compared with Meetlat. The only difference: everything is held in memory, so size is bounded by it.

As well as its author could: text columns are categories or Arrow strings, files are read by Arrow's parser on all
cores, what holds few different texts is translated once a text, SHA-256 comes from hashlib and is found once an id, and
periods are expanded only after values were collapsed.

    python -m benchmarks.baselines.with_pandas RAW REFERENCE OUT       (key in BENCHMARK_KEY)
"""

import hashlib
import os
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from scipy.stats import t

SOURCE = "klantcontact_customers"
CHANNELS = {
    "Balie": "physical",
    "Telefoon": "phone",
    "E-mail": "email",
    "Website": "web",
    "Chat": "chat",
    "Post": "post",
}
MODES = {"web": "web", "telefoon": "phone", "papier": "paper"}
QUESTIONS = {
    "channel_rating": ("Cijfer contact", 10, 100, 10),  # column, least, most, and steps of one point
    "recommendation": ("Aanbeveling (0-10)", 0, 10, 1),
    "complaint_handling": ("Cijfer klachtafhandeling", 10, 100, 10),
}
MISSING = {
    "": "blank",
    "99": "dont_know",
    "weet niet": "dont_know",
    "wil niet zeggen": "refused",
    "n.v.t.": "not_asked",
}
ONE_ANSWER = ["response_id", "respondent_id", "organisation_code", "answered_on", "mode_code"]
DOMAIN = ["period_code", "sector_code", "channel_code", "measure_code"]
MARTS = {
    "nps_by_sector": "recommendation",
    "channel_rating": "channel_rating",
    "employee_satisfaction": "employee_satisfaction",
}


# --- responses and answers -----------------------------------------------------------------------


def read(file: Path) -> pd.DataFrame:
    """The columns that are used, as categories where few texts are different."""
    few = ["Organisatie", "Contactdatum", "Kanaal", "Geïnterviewd via", "Status"]
    few += [column for column, *_ in QUESTIONS.values()]
    many = ["Responsnummer", "Klantnummer"]
    options = pyarrow.csv.ConvertOptions(
        include_columns=[*many, *few],
        column_types=dict.fromkeys(many, pa.string()) | dict.fromkeys(few, pa.dictionary(pa.int32(), pa.string())),
        strings_can_be_null=False,
    )
    table = pyarrow.csv.read_csv(
        file, parse_options=pyarrow.csv.ParseOptions(delimiter=";"), convert_options=options
    ).unify_dictionaries()
    rows = table.to_pandas(types_mapper={pa.string(): pd.ArrowDtype(pa.string())}.get)
    return rows[rows["Status"] == "compleet"].drop(columns="Status")


def pseudonyms(ids: pd.Series, key: bytes, kind: str) -> pd.Series:
    domain = hashlib.sha256(key + f"|Meetlat sample data|{SOURCE}|{kind}".encode()).hexdigest() + "|"
    begun = hashlib.sha256(domain.encode())

    def pseudonym(id: str) -> str:
        one = begun.copy()
        one.update(id.encode())
        return one.hexdigest()[:32]

    numbers, different = pd.factorize(ids)
    hashed = pa.array([pseudonym(id) for id in different], pa.string()).take(pa.array(numbers))
    return pd.Series(pd.arrays.ArrowExtensionArray(hashed), index=ids.index)


def per_text(texts: pd.Series, values: list[object], dtype: str) -> pd.Series:
    """For every row what belongs to its text; `values` go with the categories."""
    return pd.Series(pd.array(values, dtype=dtype).take(texts.cat.codes.to_numpy()), index=texts.index)


def graded(text: str, least: int, most: int, steps: int) -> tuple[int | None, str | None]:
    """The value of a cell in whole steps, or why it is none."""
    if text in MISSING:
        return None, MISSING[text]
    try:
        value = round(float(text.replace(",", ".")) * steps)
    except ValueError:
        return None, "quarantined"
    return (value, None) if least <= value <= most else (None, "quarantined")


def responses(raw: Path, key: bytes) -> pd.DataFrame:
    """Every response that counts, in the order of the files: of those with one id the last."""
    rows = pd.concat(map(read, sorted((raw / SOURCE).glob("*.csv"))), ignore_index=True)
    for column in rows.columns[2:]:
        rows[column] = rows[column].astype("category")  # files may have different categories
    rows = rows[~rows["Responsnummer"].duplicated(keep="last")].reset_index(drop=True)
    done = pd.DataFrame(
        {
            "response_id": pseudonyms(rows["Responsnummer"], key, "response"),
            "respondent_id": pseudonyms(rows["Klantnummer"], key, "respondent"),
            "organisation_code": rows["Organisatie"],
            "answered_on": per_text(
                rows["Contactdatum"],
                list(pd.to_datetime(rows["Contactdatum"].cat.categories, format="%d-%m-%Y")),
                "datetime64[s]",
            ),
            "mode_code": rows["Geïnterviewd via"].cat.rename_categories(MODES),
            "channel_code": rows["Kanaal"].cat.rename_categories(CHANNELS),
        }
    )
    for measure, (column, least, most, steps) in QUESTIONS.items():
        found = [graded(text.strip(), least, most, steps) for text in rows[column].cat.categories]
        done[measure] = per_text(rows[column], [value for value, _ in found], "Int16")
        reasons = per_text(rows[column], [reason for _, reason in found], "object")
        done[f"{measure}_missing"] = reasons.astype("category")
    return done


def answers(rows: pd.DataFrame) -> pd.DataFrame:
    """One row an answer; what was not asked is none."""
    parts = []
    for measure in QUESTIONS:
        part = rows[rows[f"{measure}_missing"] != "not_asked"]
        channel = part["channel_code"]
        if measure != "channel_rating":
            channel = pd.Categorical(["not_applicable"]).repeat(len(part))
        parts.append(
            part[ONE_ANSWER].assign(
                channel_code=channel,
                measure_code=pd.Categorical([measure]).repeat(len(part)),
                value=part[measure],
                missing_reason=part[f"{measure}_missing"],
            )
        )
    for column in ("channel_code", "measure_code", "missing_reason"):
        pooled = pd.api.types.union_categoricals([pd.Categorical(part[column]) for part in parts]).categories
        for part in parts:
            part[column] = pd.Categorical(part[column], categories=pooled)
    return pd.concat(parts, ignore_index=True)


# --- cube and estimates --------------------------------------------------------------------------


def cube_of(every: pd.DataFrame) -> pd.DataFrame:
    keys = ["month_start", "organisation_code", "channel_code", "measure_code", "value", "missing_reason"]
    month = every["answered_on"].to_numpy().astype("datetime64[M]")
    counted = every.assign(month_start=month.astype("datetime64[s]")).groupby(keys, dropna=False, observed=True).size()
    cube = counted.rename("n").reset_index()
    return cube.assign(month=cube["month_start"].dt.strftime("%Y-%m"))


def periods(months: pd.Series) -> pd.DataFrame:
    """Every month with the periods that it is part of; one that grows or rolls ends with a month that has answers."""
    found = sorted(set(months))
    first = found[0].year
    rows = set()
    for m in found:
        rows |= {(m, f"{m:%Y-%m}"), (m, f"{m.year}-Q{m.quarter}"), (m, f"{m.year}")}
        for end in found:
            if end.year == m.year and m.quarter <= end.quarter:
                rows.add((m, f"{m.year}-YTD-Q{end.quarter}"))
            start = end - pd.DateOffset(months=11)
            if start <= m <= end and start.year >= first:
                rows.add((m, f"{end:%Y-%m}-R12"))
    return pd.DataFrame(sorted(rows), columns=["month_start", "period_code"])


def placed_in_sectors(reference: Path) -> pd.DataFrame:
    """Every organisation with each sector that it is part of, and from when to when."""
    parents = pd.read_csv(reference / "sectors.csv", dtype=str).set_index("sector_code")["parent_code"].to_dict()
    up = []
    for code in parents:
        above = code
        while isinstance(above, str):
            up.append((code, above))
            above = parents[above]
    organisations = pd.read_csv(reference / "organisations.csv", dtype=str).sort_values(
        ["organisation_code", "valid_from"]
    )
    organisations["valid_from"] = pd.to_datetime(organisations["valid_from"])
    following = organisations.groupby("organisation_code")["valid_from"].shift(-1)
    organisations["valid_before"] = following.fillna(pd.Timestamp("2200-01-01"))
    organisations = organisations[["organisation_code", "sector_code", "valid_from", "valid_before"]]
    tree = pd.DataFrame(up, columns=["sector_code", "ancestor_code"])
    return organisations.merge(tree).drop(columns="sector_code").rename(columns={"ancestor_code": "sector_code"})


def placed(rows: pd.DataFrame, period: pd.DataFrame, sector: pd.DataFrame) -> pd.DataFrame:
    """Every row once for each period and sector that it belongs to."""
    wide = rows.merge(sector, on="organisation_code")
    wide = wide[(wide["month_start"] >= wide["valid_from"]) & (wide["month_start"] < wide["valid_before"])]
    return wide.drop(columns=["valid_from", "valid_before"]).merge(period, on="month_start")


def parts_of(cube: pd.DataFrame, period: pd.DataFrame, sector: pd.DataFrame) -> pd.DataFrame:
    """What each organisation contributes to each domain."""
    value, n = cube["value"].fillna(-1).astype("int64"), cube["n"]
    valid = value >= 0
    nps = cube["measure_code"] == "recommendation"
    promoters, detractors = n.where(valid & (value >= 9), 0), n.where(valid & (value <= 6), 0)
    sums = cube[["month_start", "organisation_code", "channel_code", "measure_code"]].assign(
        n_answers=n.where(valid, 0),
        t=(100 * (promoters - detractors)).where(nps, (n * value).where(valid, 0)),
        n_promoters=promoters,
        n_detractors=detractors,
        n_dont_know=n.where(cube["missing_reason"] == "dont_know", 0),
        n_blank=n.where(cube["missing_reason"] == "blank", 0),
    )
    sums = sums.astype({"organisation_code": str, "channel_code": str, "measure_code": str})
    keys = ["month_start", "organisation_code", "channel_code", "measure_code"]
    moment = sums.groupby(keys, as_index=False).sum()
    each = placed(moment, period, sector).drop(columns="month_start")
    each = each.groupby([*DOMAIN, "organisation_code"], as_index=False).sum()
    pooled = each.assign(channel_code="all").groupby([*DOMAIN, "organisation_code"], as_index=False).sum()
    return pd.concat([each, pooled], ignore_index=True)


def surplus_of(rows: pd.DataFrame, every: pd.DataFrame, period: pd.DataFrame, sector: pd.DataFrame) -> pd.DataFrame:
    """Answers less people, found among those who came back only."""
    back = rows.loc[rows["respondent_id"].duplicated(), "respondent_id"].unique()
    kept = every[every["value"].notna() & every["respondent_id"].isin(back)]
    again = pd.DataFrame(
        {
            "respondent_id": pd.factorize(kept["respondent_id"])[0],
            "month_start": kept["answered_on"].to_numpy().astype("datetime64[M]").astype("datetime64[s]"),
            "organisation_code": kept["organisation_code"].astype(str),
            "channel_code": kept["channel_code"].astype(str),
            "measure_code": kept["measure_code"].astype(str),
        }
    )
    again = pd.concat([again, again.assign(channel_code="all")], ignore_index=True)
    again = again[again.duplicated(["respondent_id", "channel_code", "measure_code"], keep=False)]
    each = placed(again, period, sector)[[*DOMAIN, "respondent_id"]]
    return each[each.duplicated()].groupby(DOMAIN).size().rename("surplus").reset_index()


def estimates(part: pd.DataFrame, surplus: pd.DataFrame) -> pd.DataFrame:
    """z_i = (T_i - R W_i) / W and V = m / (m - 1) sum z_i^2, m being the organisations of the period."""
    valid = part[part["n_answers"] > 0]
    m = valid.groupby("period_code")["organisation_code"].nunique().rename("m").reset_index()
    columns = ["n_answers", "t", "n_promoters", "n_detractors", "n_dont_know", "n_blank"]
    total = part.groupby(DOMAIN, as_index=False)[columns].sum()
    of_organisations = valid.assign(squares=valid["n_answers"] ** 2).groupby(DOMAIN, as_index=False)
    of_organisations = of_organisations.agg(
        n_organisations=("n_answers", "size"), largest=("n_answers", "max"), squares=("squares", "sum")
    )
    both = valid.merge(total[[*DOMAIN, "n_answers", "t"]], on=DOMAIN, suffixes=("", "_all"))
    z = (both["t"] - both["t_all"] / both["n_answers_all"] * both["n_answers"]) / both["n_answers_all"]
    zz = both[DOMAIN].assign(zz=z * z).groupby(DOMAIN, as_index=False).sum()
    done = total
    for other, on in ((of_organisations, DOMAIN), (zz, DOMAIN), (surplus, DOMAIN), (m, ["period_code"])):
        done = done.merge(other, on=on, how="left")
    n = done["n_answers"].where(done["n_answers"] > 0)
    step = np.where(done["measure_code"] == "recommendation", 1, 10)
    done["n_organisations"] = done["n_organisations"].fillna(0).astype("int64")
    several = done["n_organisations"] > 1
    done["value"] = done["t"] / n / step
    done["n_respondents"] = done["n_answers"] - done["surplus"].fillna(0).astype("int64")
    done["n_organisations_effective"] = n * n / done["squares"]
    done["largest_organisation_share"] = done["largest"] / n
    done["se"] = (np.sqrt(done["m"] / (done["m"] - 1) * done["zz"]) / step).where(several)
    done["df"] = (done["n_organisations"] - 1).where(several)
    margin = t.ppf(0.975, done["df"]) * done["se"]
    done["ci_low"], done["ci_high"] = done["value"] - margin, done["value"] + margin
    done["n_passives"] = done["n_answers"] - done["n_promoters"] - done["n_detractors"]
    done.insert(0, "monitor_code", "klantcontact_monitor")
    done.insert(2, "audience_code", "customer")
    return done.drop(columns=["t", "largest", "squares", "zz", "surplus", "m"])


def run(raw: Path, reference: Path, out: Path, key: bytes) -> None:
    rows = responses(raw, key)
    every = answers(rows)
    cube = cube_of(every)
    period, sector = periods(cube["month_start"]), placed_in_sectors(reference)
    estimate = estimates(parts_of(cube, period, sector), surplus_of(rows, every, period, sector))
    tables = {"answer": every, "cube": cube}
    tables |= {mart: estimate[estimate["measure_code"] == m].sort_values(DOMAIN) for mart, m in MARTS.items()}
    with duckdb.connect(str(out / "warehouse.duckdb")) as con:
        for name, table in tables.items():
            file = out / f"{name}.parquet"
            table.to_parquet(file, compression="zstd", compression_level=1, index=False)
            con.execute(f"CREATE TABLE {name} AS FROM '{file}'")


if __name__ == "__main__":
    run(*map(Path, sys.argv[1:]), os.environ["BENCHMARK_KEY"].encode())
