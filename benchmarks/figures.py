"""Whether a baseline made what Meetlat made: only then may the two be timed beside each other."""

import math
from pathlib import Path

import duckdb

KEYS = ("period_code", "sector_code", "channel_code", "measure_code")
BASES = ("n_answers", "n_respondents", "n_organisations", "n_dont_know", "n_blank")
MARTS = ("nps_by_sector", "channel_rating")
NEAR = 1e-9


def differences(release: Path, out: Path) -> list[str]:
    """What the files of a baseline in `out` say otherwise than the release, as sentences.

    Compared are every row of two marts (bases exactly, values to 1e-9), the cube, and a fingerprint of all
    answers with their pseudonyms; and to the last bit every mart that stands there as `mart.<name>.parquet`.
    """
    faults = []
    for mart in MARTS:
        theirs, ours = _rows(_parquet(out, mart)), _rows(f"'{release}/parquet/mart.{mart}.parquet'")
        if set(theirs) != set(ours):
            faults.append(
                f"{mart}: {len(theirs)} rows, Meetlat {len(ours)}; not in both: {set(theirs) ^ set(ours)}"[:300]
            )
        for key in sorted(set(theirs) & set(ours)):
            (value, *bases), (right, *right_bases) = theirs[key], ours[key]
            if bases != right_bases or not _near(value, right):
                faults.append(f"{mart} {'/'.join(key)}: {value} of {bases}, Meetlat {right} of {right_bases}")
                break
    restricted = release / "restricted" / "parquet"
    for file in sorted(out.glob("mart.*.parquet")):
        folder = next(folder for folder in (release / "parquet", restricted) if (folder / file.name).exists())
        if _bits(f"'{file}'") != _bits(f"'{folder / file.name}'"):
            faults.append(f"{file.stem} has other rows")
    theirs = _print(_parquet(out, "answer")), _cells(_parquet(out, "cube"))
    ours = _print(f"'{restricted}/core.fct_answer/**/*.parquet'"), _cells(f"'{restricted}/cube.score_counts.parquet'")
    for what, one, other in zip(("answers", "cube"), theirs, ours, strict=True):
        if one != other:
            faults.append(f"{what}: {one}, Meetlat {other}")
    return faults


def _near(value: float | None, right: float | None) -> bool:
    if value is None or right is None:
        return value is right
    return math.isclose(value, right, rel_tol=0, abs_tol=NEAR)


def _parquet(folder: Path, name: str) -> str:
    """SQL: the file of a table, or the files in a folder of that name."""
    path = folder / f"{name}.parquet"
    return f"'{path}/*.parquet'" if path.is_dir() else f"'{path}'"


def _rows(files: str) -> dict[tuple[str, ...], tuple[float | None, ...]]:
    found = duckdb.sql(f"SELECT {', '.join((*KEYS, 'value', *BASES))} FROM {files}").fetchall()
    return {row[: len(KEYS)]: row[len(KEYS) :] for row in found}


def _print(files: str) -> tuple[int, ...]:
    """Answers, their sum, and the bits of all pseudonyms with what they answered, whatever the order."""
    return duckdb.sql(  # type: ignore[no-any-return]
        "SELECT count(*), sum(value::BIGINT), bit_xor(hash(response_id, respondent_id, organisation_code, "
        f"answered_on::DATE, channel_code, measure_code, value::BIGINT, missing_reason)) FROM {files}"
    ).fetchall()[0]


def _bits(file: str) -> tuple[int, ...]:
    """Rows and their bits, whatever the order."""
    return duckdb.sql(f"SELECT count(*), bit_xor(hash(t)) FROM {file} AS t").fetchall()[0]  # type: ignore[no-any-return]


def _cells(file: str) -> tuple[int, ...]:
    """Cells of the cube that hold a value, their answers and the sum of the answers."""
    return duckdb.sql(  # type: ignore[no-any-return]
        f"SELECT count(*), sum(n), sum(n * value::BIGINT) FROM {file} WHERE value IS NOT NULL"
    ).fetchall()[0]
