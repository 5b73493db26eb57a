"""docs/method.md: the number that is followed by hand is the one in the mart, and R gets it from the answers."""

import re
import subprocess
from pathlib import Path

import duckdb
import pytest
from conftest import PROJECT, Place

METHOD = (PROJECT / "docs" / "method.md").read_text(encoding="utf-8")
COLUMNS = ("value", "n_organisations", "se", "df", "se_cr2", "df_cr2")


def block(info: str) -> str:
    (found,) = re.findall(rf"^```{info}\n(.*?)^```$", METHOD, re.MULTILINE | re.DOTALL)
    return str(found)


def by_hand(place: Place) -> dict[str, float]:
    with duckdb.connect(str(place.current / "restricted" / "warehouse.duckdb"), read_only=True) as con:
        result = con.execute(block("sql by hand"))
        names = [column[0] for column in result.description]
        (row,) = result.fetchall()
    return dict(zip(names, row, strict=True))


def test_phone_by_hand_from_the_cube(built: Place) -> None:
    with duckdb.connect(str(built.current / "benchmark.duckdb"), read_only=True) as con:
        (row,) = con.execute(
            f"SELECT {', '.join(COLUMNS)} FROM mart.channel_rating WHERE monitor_code = 'klantcontact_monitor' "
            "AND period_code = '2011' AND sector_code = 'all' AND channel_code = 'phone'"
        ).fetchall()
    mart, hand = dict(zip(COLUMNS, row, strict=True)), by_hand(built)
    assert round(hand["value"], 1) == 7.5
    for column in COLUMNS:  # the errors lack what respondents of several organisations add
        assert hand[column] == pytest.approx(mart[column], rel=1e-3 if column.startswith("se") else 1e-9), column


@pytest.mark.oracle
def test_phone_in_r_from_the_answers(built: Place, tmp_path: Path) -> None:
    answers = tmp_path / "answers.csv"
    with duckdb.connect(str(built.current / "restricted" / "warehouse.duckdb"), read_only=True) as con:
        con.execute(
            "COPY (SELECT organisation_code, weight, channel_code, measure_code, value / 10 AS value "
            "FROM core.fct_answer WHERE source_code = 'klantcontact_customers' AND year(answered_on) = 2011 "
            f"AND value IS NOT NULL) TO '{answers}' (HEADER)"
        )
    script = f"answers <- read.csv('{answers}')\n{block('r')}\n"
    script += "cat(sprintf('%.17g %.17g', coef(estimate), SE(estimate)))"
    ran = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=True)
    value, se = (float(number) for number in ran.stdout.split()[-2:])
    hand = by_hand(built)
    assert (value, se) == pytest.approx((hand["value"], hand["se"]), rel=1e-9)


@pytest.mark.full
def test_what_weighting_does_to_the_sample_data(shipped: Place) -> None:
    """The four numbers, and where most of the smaller error comes from."""
    (told,) = re.findall(
        r"phone goes from (\S+) to (\S+), the net promoter score from (\S+) to (\S+)\.", " ".join(METHOD.split())
    )
    columns = "value, value_weighted, se, se_organisations_equal, se_weighted"
    rows = shipped.query(
        f"SELECT {columns} FROM mart.measure_score WHERE monitor_code = 'klantcontact_monitor' AND sector_code = 'all' "
        "AND period_code = '2011' AND (channel_code, measure_code) IN "
        "(('phone', 'channel_rating'), ('not_applicable', 'recommendation')) ORDER BY measure_code",
        "benchmark.duckdb",
    )
    phone, score = rows
    assert told == (f"{phone[0]:.2f}", f"{phone[1]:.2f}", f"{score[0]:.1f}", f"{score[1]:.1f}")
    for _, _, se, equal, weighted in rows:
        assert se - equal > equal - weighted > 0
