"""The benchmarks still run and still print what docs/performance.md holds. What they measure is no test."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT

BASELINES = ["meetlat", "engine", "models", "pandas"]  # dbt, polars and Spark come with environments of their own


def run(*arguments: str) -> list[str]:
    """The lines that a benchmark prints."""
    command = [sys.executable, "-m", "benchmarks", *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("command", "headings"),
    [
        ("marts --cells 3000 --repeats 1", "| | wall s | CPU s | memory MiB | rows |"),
        ("growth --of sources --sizes 2 --only-check", "| | size | check, s | CPU s | memory MiB |"),
        pytest.param(
            "coverage --runs 5",
            "| log-sd of sizes | peers | t | published | flagged u |",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "nightly --answers 20000 --last 1000 --years 1 --beside engine",
            "| answers | | wall s | CPU s | memory MiB | bytes, CPU s | of a full one | of first night | night, wall |",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_benchmark_prints_its_table(command: str, headings: str, tmp_path: Path) -> None:
    cache = [] if command.startswith("coverage") else ["--cache", str(tmp_path)]
    lines = run(*command.split(), *cache)
    table = lines[lines.index(headings) + 2 :]
    assert table and table[0].count("|") == headings.count("|")


@pytest.mark.long
def test_the_baselines_make_the_same_figures(tmp_path: Path) -> None:
    """Of the bare engine, pandas and Meetlat; a baseline whose figures differ ends the run."""
    told = tmp_path / "told.json"
    run(
        "refresh", "--answers", "20000", "--deliveries", "4", "--repeats", "1", "--cache", str(tmp_path / "cache"),
        "--json", str(told), "--only", *BASELINES,
    )  # fmt: skip
    (answers,) = json.loads(told.read_text())["results"].values()
    assert {name: runs[0]["rows"] for name, runs in answers.items()} == dict.fromkeys(BASELINES, 19_973)
