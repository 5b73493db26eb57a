"""The same benchmark with polars: its lazy engine on all cores.

From the same files to the same pseudonyms, cube and marts as `bare_engine.py`, whose docstring says what is made and
what is left out compared with Meetlat. Answers are held in memory.

As well as its author could: files are scanned lazily, SHA-256 is an expression (polars-hash, in Rust), texts of which
there are few become categories, and periods are expanded only after values were collapsed.

    python -m benchmarks.baselines.with_polars RAW REFERENCE OUT       (key in BENCHMARK_KEY)
"""

import hashlib
import os
import sys
from pathlib import Path

import duckdb
import polars as pl
import polars_hash as plh
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
CHANNEL = pl.Enum([*CHANNELS.values(), "not_applicable", "all"])
MEASURE = pl.Enum([*QUESTIONS, "employee_satisfaction"])
REASON = pl.Enum(["blank", "dont_know", "refused", "quarantined", "not_asked"])
MODE = pl.Enum(list(MODES.values()))
DOMAIN = ["period_code", "sector_code", "channel_code", "measure_code"]
MARTS = {
    "nps_by_sector": "recommendation",
    "channel_rating": "channel_rating",
    "employee_satisfaction": "employee_satisfaction",
}


# --- responses and answers -----------------------------------------------------------------------


def pseudonym(column: str, key: bytes, kind: str) -> pl.Expr:
    prefix = hashlib.sha256(key + f"|Meetlat sample data|{SOURCE}|{kind}".encode()).hexdigest() + "|"
    return plh.concat_str(pl.lit(prefix), pl.col(column)).chash.sha2_256().str.head(32)


def graded(column: str, least: int, most: int, steps: int) -> pl.Expr:
    number = pl.col(column).str.replace(",", ".", literal=True).cast(pl.Float32, strict=False)
    value = (number * steps).round().cast(pl.Int16, strict=False)
    cell = pl.col(column).fill_null("").str.strip_chars()
    return pl.when(value.is_between(least, most), ~cell.is_in(list(MISSING))).then(value)


def reason(column: str, measure: str) -> pl.Expr:
    cell = pl.col(column).fill_null("").str.strip_chars()
    why = cell.replace_strict(MISSING, default="quarantined", return_dtype=REASON)
    return pl.when(pl.col(measure).is_null()).then(why)


def responses(raw: Path, key: bytes) -> pl.DataFrame:
    """Every response that counts, in the order of the files: of those with one id the last."""
    names = ["Responsnummer", "Klantnummer", "Organisatie", "Contactdatum", "Kanaal", "Cijfer contact"]
    names += ["Aanbeveling (0-10)", "Cijfer klachtafhandeling", "Geïnterviewd via", "Status"]
    names += ["Naam", "E-mailadres", "Postcode", "Toelichting"]
    files = sorted((raw / SOURCE).glob("*.csv"))
    return (
        pl.scan_csv(files, separator=";", schema=dict.fromkeys(names, pl.String))
        .filter(pl.col("Status") == "compleet")
        .select(
            pseudonym("Responsnummer", key, "response").alias("response_id"),
            pseudonym("Klantnummer", key, "respondent").alias("respondent_id"),
            pl.col("Organisatie").cast(pl.Categorical).alias("organisation_code"),
            pl.col("Contactdatum").str.to_date("%d-%m-%Y").alias("answered_on"),
            pl.col("Kanaal").replace_strict(CHANNELS, return_dtype=CHANNEL).alias("channel_code"),
            pl.col("Geïnterviewd via").replace_strict(MODES, return_dtype=MODE).alias("mode_code"),
            *(column for column, *_ in QUESTIONS.values()),
        )
        .with_columns(**{measure: graded(*how) for measure, how in QUESTIONS.items()})
        .with_columns(**{f"{measure}_missing": reason(how[0], measure) for measure, how in QUESTIONS.items()})
        .drop(column for column, *_ in QUESTIONS.values())
        .collect()
        .unique("response_id", keep="last", maintain_order=True)
    )


def answers(rows: pl.DataFrame) -> pl.DataFrame:
    """One row an answer; what was not asked is none."""
    once = ["response_id", "respondent_id", "organisation_code", "answered_on", "mode_code"]
    return pl.concat(
        rows.lazy()
        .filter(pl.col(f"{measure}_missing").is_null() | (pl.col(f"{measure}_missing") != "not_asked"))
        .select(
            *once,
            pl.col("channel_code")
            if measure == "channel_rating"
            else pl.lit("not_applicable", CHANNEL).alias("channel_code"),
            pl.lit(measure, MEASURE).alias("measure_code"),
            pl.col(measure).alias("value"),
            pl.col(f"{measure}_missing").alias("missing_reason"),
        )
        for measure in QUESTIONS
    ).collect()


# --- cube and estimates --------------------------------------------------------------------------


def cube_of(every: pl.DataFrame) -> pl.DataFrame:
    keys = ["month_start", "organisation_code", "channel_code", "measure_code", "value", "missing_reason"]
    month = pl.col("answered_on").dt.truncate("1mo").alias("month_start")
    return (
        every.lazy()
        .with_columns(month)
        .group_by(keys)
        .agg(pl.len().cast(pl.Int64).alias("n"))
        .with_columns(
            pl.col("month_start").dt.strftime("%Y-%m").alias("month"), pl.col("organisation_code").cast(pl.String)
        )
        .collect()
    )


def periods(months: pl.Series) -> pl.DataFrame:
    """Every month with the periods that it is part of; one that grows or rolls ends with a month that has answers."""
    found = sorted(set(months))
    first = found[0].year
    rows = set()
    for m in found:
        quarter = (m.month + 2) // 3
        rows |= {(m, f"{m:%Y-%m}"), (m, f"{m.year}-Q{quarter}"), (m, f"{m.year}")}
        for end in found:
            ends_in = (end.month + 2) // 3
            if end.year == m.year and quarter <= ends_in:
                rows.add((m, f"{m.year}-YTD-Q{ends_in}"))
            back = 12 * (end.year - m.year) + end.month - m.month
            if 0 <= back <= 11 and (12 * end.year + end.month - 1 - 11) // 12 >= first:
                rows.add((m, f"{end:%Y-%m}-R12"))
    return pl.DataFrame(sorted(rows), schema=["month_start", "period_code"], orient="row")


def placed_in_sectors(reference: Path) -> pl.DataFrame:
    """Every organisation with each sector that it is part of, and from when to when."""
    sectors = pl.read_csv(reference / "sectors.csv", infer_schema=False)
    parents = dict(sectors.select("sector_code", "parent_code").iter_rows())
    up = []
    for code in parents:
        above = code
        while above:
            up.append((code, above))
            above = parents[above]
    tree = pl.DataFrame(up, schema=["sector_code", "ancestor_code"], orient="row")
    return (
        pl.read_csv(reference / "organisations.csv", infer_schema=False)
        .with_columns(pl.col("valid_from").str.to_date())
        .sort("organisation_code", "valid_from")
        .with_columns(
            pl.col("valid_from")
            .shift(-1)
            .over("organisation_code")
            .fill_null(pl.date(9999, 1, 1))
            .alias("valid_before")
        )
        .join(tree, on="sector_code")
        .select("organisation_code", "valid_from", "valid_before", pl.col("ancestor_code").alias("sector_code"))
    )


def placed(rows: pl.LazyFrame, period: pl.DataFrame, sector: pl.DataFrame) -> pl.LazyFrame:
    """Every row once for each period and sector that it belongs to."""
    in_time = pl.col("month_start").is_between("valid_from", "valid_before", closed="left")
    wide = rows.join(sector.lazy(), on="organisation_code").filter(in_time).drop("valid_from", "valid_before")
    return wide.join(period.lazy(), on="month_start")


def parts_of(cube: pl.DataFrame, period: pl.DataFrame, sector: pl.DataFrame) -> pl.DataFrame:
    """What each organisation contributes to each domain."""
    n, value, nps = pl.col("n"), pl.col("value").cast(pl.Int64), pl.col("measure_code") == "recommendation"
    sums = {
        "n_answers": n.filter(value.is_not_null()).sum(),
        "t": (n * value).sum(),
        "n_promoters": n.filter(value >= 9).sum(),
        "n_detractors": n.filter(value <= 6).sum(),
        "n_dont_know": n.filter(pl.col("missing_reason") == "dont_know").sum(),
        "n_blank": n.filter(pl.col("missing_reason") == "blank").sum(),
    }
    moment = cube.lazy().group_by("month_start", "organisation_code", "channel_code", "measure_code").agg(**sums)
    keys = [*DOMAIN, "organisation_code"]
    each = placed(moment, period, sector).group_by(keys).agg(pl.col(*sums).sum())
    whole = each.with_columns(pl.lit("all", CHANNEL).alias("channel_code")).group_by(keys).agg(pl.col(*sums).sum())
    of_nps = 100 * (pl.col("n_promoters") - pl.col("n_detractors"))
    t = pl.when(nps).then(of_nps).otherwise("t").alias("t")
    return pl.concat([each, whole], how="diagonal").with_columns(t).collect()


def surplus_of(rows: pl.DataFrame, every: pl.DataFrame, period: pl.DataFrame, sector: pl.DataFrame) -> pl.DataFrame:
    """Answers less people, found among those who came back only."""
    back = rows.lazy().group_by("respondent_id").len().filter(pl.col("len") > 1)
    again = (
        every.lazy()
        .filter(pl.col("value").is_not_null())
        .join(back.with_row_index("respondent").drop("len"), on="respondent_id")
        .select(
            "respondent",
            pl.col("answered_on").dt.truncate("1mo").alias("month_start"),
            pl.col("organisation_code").cast(pl.String),
            "channel_code",
            "measure_code",
        )
    )
    again = pl.concat([again, again.with_columns(pl.lit("all", CHANNEL).alias("channel_code"))])
    several = again.filter(pl.len().over("respondent", "channel_code", "measure_code") > 1)
    each = placed(several, period, sector).group_by(*DOMAIN, "respondent").len()
    return each.group_by(DOMAIN).agg((pl.col("len").cast(pl.Int64) - 1).sum().alias("surplus")).collect()


def estimates(part: pl.DataFrame, surplus: pl.DataFrame) -> pl.DataFrame:
    """z_i = (T_i - R W_i) / W and V = m / (m - 1) sum z_i^2, m being the organisations of the period."""
    valid = part.filter(pl.col("n_answers") > 0)
    m = valid.group_by("period_code").agg(pl.col("organisation_code").n_unique().cast(pl.Int64).alias("m"))
    n, w, several = pl.col("n_answers"), pl.col("w"), pl.col("n_organisations") > 1
    total = part.group_by(DOMAIN).agg(
        pl.col("n_answers", "t", "n_promoters", "n_detractors", "n_dont_know", "n_blank").sum(),
        (n > 0).sum().cast(pl.Int64).alias("n_organisations"),
        n.max().alias("largest"),
        (n * n).sum().alias("squares"),
    )
    z = (pl.col("t") - pl.col("t_all") / pl.col("n_all") * n) / pl.col("n_all")
    zz = (
        valid.join(total.select(*DOMAIN, n.alias("n_all"), pl.col("t").alias("t_all")), on=DOMAIN)
        .group_by(DOMAIN)
        .agg((z * z).sum().alias("zz"))
    )
    step = pl.when(pl.col("measure_code") == "recommendation").then(1).otherwise(10)
    done = (
        total.join(zz, on=DOMAIN, how="left")
        .join(surplus, on=DOMAIN, how="left")
        .join(m, on="period_code", how="left")
        .with_columns(pl.when(n > 0).then(n).alias("w"))
        .with_columns(
            (pl.col("t") / w / step).alias("value"),
            (n - pl.col("surplus").fill_null(0)).alias("n_respondents"),
            (w * w / pl.col("squares")).alias("n_organisations_effective"),
            (pl.col("largest") / w).alias("largest_organisation_share"),
            pl.when(several).then((pl.col("m") / (pl.col("m") - 1) * pl.col("zz")).sqrt() / step).alias("se"),
            pl.when(several).then(pl.col("n_organisations") - 1).alias("df"),
            (n - pl.col("n_promoters") - pl.col("n_detractors")).alias("n_passives"),
            pl.lit("klantcontact_monitor").alias("monitor_code"),
            pl.lit("customer").alias("audience_code"),
        )
    )
    found = done["df"].drop_nulls().unique().sort()
    q = pl.DataFrame({"df": found, "q": t.ppf(0.975, found.to_numpy())})
    margin = pl.col("q") * pl.col("se")
    return (
        done.join(q, on="df", how="left")
        .with_columns((pl.col("value") - margin).alias("ci_low"), (pl.col("value") + margin).alias("ci_high"))
        .drop("t", "w", "largest", "squares", "zz", "surplus", "m", "q")
    )


def run(raw: Path, reference: Path, out: Path, key: bytes) -> None:
    rows = responses(raw, key)
    every = answers(rows)
    cube = cube_of(every)
    period, sector = periods(cube["month_start"]), placed_in_sectors(reference)
    estimate = estimates(parts_of(cube, period, sector), surplus_of(rows, every, period, sector))
    tables = {"answer": every, "cube": cube}
    tables |= {mart: estimate.filter(pl.col("measure_code") == m).sort(DOMAIN) for mart, m in MARTS.items()}
    with duckdb.connect(str(out / "warehouse.duckdb")) as con:
        for name, table in tables.items():
            file = out / f"{name}.parquet"
            table.write_parquet(file, compression="zstd", compression_level=1)
            con.execute(f"CREATE TABLE {name} AS FROM '{file}'")


if __name__ == "__main__":
    run(*map(Path, sys.argv[1:]), os.environ["BENCHMARK_KEY"].encode())
