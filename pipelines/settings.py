"""Paths and switches, from environment variables.

Only the key is read elsewhere, in `privacy.py`, so that no object of settings ever carries it.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import MeetlatError

PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Settings:
    """Where things stand. All paths are absolute."""

    raw: Path  # sources: a folder each, with contract and deliveries
    warehouse: Path  # parts and releases; what BI tools open
    state: Path  # key, register of the erased, logs, DAGSTER_HOME: never published
    sql: Path  # one file a table
    threads: int | None  # None: all cores
    memory: str | None  # None: DuckDB's own limit
    notify: str | None  # an Apprise address, told of exits 1 and 3
    keep: int  # releases that are kept at least
    keep_days: int  # and those younger than this
    spark: str | None = None  # where `--engine spark` finds Spark
    exchange: str | None = None  # storage through which its machines hand each other files, where they share no folder

    @property
    def current(self) -> Path:
        return self.warehouse / "current"


def load() -> Settings:
    """Read the environment. Raises MeetlatError for a value that cannot be used."""

    def place(variable: str, default: Path) -> Path:
        return Path(os.environ.get(variable) or default).expanduser().absolute()

    def number(variable: str, default: int | None, least: int) -> Any:
        text = os.environ.get(variable) or None
        if text is not None and not (text.isdigit() and int(text) >= least):
            raise MeetlatError(f"{variable} is '{text}'; set it to a whole number of at least {least}.")
        return default if text is None else int(text)

    memory = os.environ.get("MEETLAT_MEMORY") or None
    if memory is not None and not re.fullmatch(r"\d+(\.\d+)? *([KMGT]i?B|%)", memory):
        raise MeetlatError(f"MEETLAT_MEMORY is '{memory}'; set it to an amount such as 2GiB.")
    settings = Settings(
        raw=place("MEETLAT_RAW", PROJECT / "raw"),
        warehouse=place("MEETLAT_WAREHOUSE", PROJECT / "warehouse"),
        state=place("MEETLAT_STATE", PROJECT / ".meetlat"),
        sql=PROJECT / "sql",
        threads=number("MEETLAT_THREADS", None, 1),
        memory=memory,
        notify=os.environ.get("MEETLAT_NOTIFY") or None,
        keep=number("MEETLAT_KEEP", 5, 1),
        keep_days=number("MEETLAT_KEEP_DAYS", 14, 0),
        spark=os.environ.get("MEETLAT_SPARK") or None,
        exchange=os.environ.get("MEETLAT_EXCHANGE") or None,
    )
    if settings.warehouse in (settings.state, *settings.state.parents):
        raise MeetlatError(
            f"MEETLAT_STATE ({settings.state}) lies inside MEETLAT_WAREHOUSE; it holds the key, so put it "
            "somewhere that is not shared with readers of the warehouse."
        )
    return settings
