"""Exports of any size in the shape of the customers' one: semicolons, decimal comma, dirt. The same each time."""

import csv
import gzip
import os
import shutil
from pathlib import Path

import duckdb

from pipelines.settings import PROJECT

SOURCE = "klantcontact_customers"
ANSWERS = 2.013  # of a row
DIRT = 1_000  # one in so many grades is none


def write(
    cache: Path,
    rows: int,
    parts: int = 1,
    encoding: str = "utf-8",
    packed: bool = False,
    codes: list[str] | None = None,
    by_quarter: bool = False,
) -> list[Path]:
    """The deliveries with `rows` rows in all, made once and kept under `cache`; `codes`: of other organisations.

    All answers are of 2011, whatever quarter a file is named after; or, `by_quarter`, of that quarter.
    """
    cache.mkdir(parents=True, exist_ok=True)
    of = ("" if codes is None else f"_{len(codes)}") + ("_quarters" if by_quarter else "")
    codes = organisations() if codes is None else codes
    files = []
    for part in range(parts):
        first, last = rows * part // parts, rows * (part + 1) // parts
        year, quarter = 2011 + part // 4, part % 4
        file_ = cache / f"klantcontact_klanten_{year}-Q{quarter + 1}_{rows}_{parts}_{encoding}{of}.csv"
        if not file_.exists():
            answered_on = f"DATE '2011-01-01' + (i * 365 // {max(last, 1)})::INTEGER"
            if by_quarter:
                answered_on = (
                    f"DATE '{year}-{3 * quarter + 1:02}-01' + ((i - {first}) * 90 // {max(last - first, 1)})::INTEGER"
                )
            _write(file_, first, last, codes, encoding, answered_on)
        files.append(_packed(file_) if packed else file_)
    return files


def following(cache: Path, like: Path, after: int, rows: int) -> Path:
    """A delivery of the quarter that `like` is named after, of respondents that come after the first `after` rows."""
    year, quarter = (int(n) for n in like.name.split("_")[2].split("-Q"))
    of = "_quarters" if like.stem.endswith("_quarters") else ""
    file = cache / f"klantcontact_klanten_{year}-Q{quarter}_{rows}_after_{after}{of}.csv"
    if not file.exists():
        since, days = (f"{year}-{3 * quarter - 2:02}-01", 90) if of else ("2011-01-01", 365)
        answered_on = f"DATE '{since}' + ((i - {after}) * {days} // {rows})::INTEGER"
        _write(file, after, after + rows, organisations(), "utf-8", answered_on)
    return file


def raw_folder(place: Path, files: list[Path]) -> Path:
    """A raw folder with these deliveries; links, as they are only read."""
    folder = place / "raw" / SOURCE
    folder.mkdir(parents=True)
    contract = (PROJECT / "raw" / SOURCE / "contract.yml").read_text(encoding="utf-8")
    contract = contract.replace("*.csv.gz", "*.csv").replace("windows-1252", "utf-8")
    (folder / "contract.yml").write_text(contract, encoding="utf-8")
    for file in files:
        os.link(file, folder / file.name)
    (place / "state").mkdir()
    return place / "raw"


def organisations() -> list[str]:
    """The codes of the shipped list."""
    with (PROJECT / "raw" / "reference" / "organisations.csv").open(encoding="utf-8") as file:
        return sorted({row["organisation_code"] for row in csv.DictReader(file)})


def _write(file: Path, first: int, last: int, codes: list[str], encoding: str, answered_on: str) -> None:
    aside = file.with_suffix(".part")
    with duckdb.connect(config={"temp_directory": str(file.parent / ".spill")}) as con:
        con.execute("SET VARIABLE codes = $1", [codes])
        con.execute("SET memory_limit = '2GB'")
        con.execute(
            f"""
            COPY (
              WITH drawn AS (
                SELECT i, hash(i, 1) AS a, hash(i, 2) AS b, hash(i, 3) AS c FROM range({first}, {last}) AS t(i)
              )
              SELECT
                'K11-' || lpad((CASE WHEN a % 2000 = 7 THEN i - 1 ELSE i END)::VARCHAR, 8, '0') AS "Responsnummer",
                'C' || lpad((CASE WHEN a % 20 = 1 THEN i // 2 ELSE i END)::VARCHAR, 8, '0') AS "Klantnummer",
                getvariable('codes')[(a // 32 % {len(codes)})::INTEGER + 1] AS "Organisatie",
                strftime({answered_on}, '%d-%m-%Y') AS "Contactdatum",
                ['Balie', 'Telefoon', 'Telefoon', 'E-mail', 'Website', 'Website', 'Chat', 'Post'][
                  (b % 8)::INTEGER + 1] AS "Kanaal",
                {_grade("b // 8")} AS "Cijfer contact",
                CASE c % 50 WHEN 0 THEN '' WHEN 1 THEN '99' ELSE least(10, c // 64 % 14)::VARCHAR END
                  AS "Aanbeveling (0-10)",
                CASE WHEN c % 5 > 0 THEN 'n.v.t.' ELSE {_grade("a // 64")} END AS "Cijfer klachtafhandeling",
                ['web', 'web', 'telefoon', 'papier'][(c // 8 % 4)::INTEGER + 1] AS "Geïnterviewd via",
                CASE c // 128 % 100 WHEN 0 THEN 'test' WHEN 1 THEN 'afgebroken' WHEN 2 THEN 'afgebroken' WHEN 3 THEN ''
                  ELSE 'compleet' END AS "Status",
                CASE WHEN b % 4 = 0 THEN 'Zoë de Vries-' || (a % 10000)::VARCHAR END AS "Naam",
                CASE WHEN b % 4 = 0 THEN 'zoe.devries' || i::VARCHAR || '@voorbeeld.invalid' END AS "E-mailadres",
                CASE WHEN b % 4 = 0 THEN (1000 + a % 9000)::VARCHAR || ' AB' END AS "Postcode",
                CASE WHEN b % 32 = 0 THEN 'Vriendelijk geholpen; wel "even" gewacht' END AS "Toelichting"
              FROM drawn ORDER BY i
            ) TO '{aside}' (FORMAT csv, DELIMITER ';', HEADER true)
            """
        )
    if encoding != "utf-8":
        other = file.with_suffix(".coded")
        with aside.open(encoding="utf-8", newline="") as text, other.open("w", encoding=encoding, newline="") as coded:
            while block := text.read(1 << 20):
                coded.write(block)
        aside.unlink()
        aside = other
    aside.rename(file)


def _packed(file: Path) -> Path:
    packed = file.with_name(f"{file.name}.gz")
    if not packed.exists():
        aside = file.with_suffix(".part")
        with file.open("rb") as plain, gzip.open(aside, "wb", compresslevel=6) as out:
            shutil.copyfileobj(plain, out, 1 << 20)
        aside.rename(packed)
    return packed


def _grade(drawn: str) -> str:
    return (
        f"CASE WHEN {drawn} % {DIRT} = 0 THEN 'zeven' WHEN {drawn} % 40 = 1 THEN '99' WHEN {drawn} % 40 = 2 THEN '' "
        f"WHEN {drawn} % 3 = 0 THEN (1 + {drawn} // 8 % 9)::VARCHAR || ',5' "
        f"ELSE (1 + {drawn} // 8 % 10)::VARCHAR END"
    )
