"""How a typed value is written as text, the same for every format that has types.

Whole numbers have no decimals, dates and moments are ISO. Reading that text back is for `staging.py`.
"""

import datetime as dt
import math


def number(value: float, decimal: str) -> str:
    """The 15 digits that a spreadsheet or statistics program shows, never with an exponent."""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return ""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = format(value, ".15g")
    if "e" in text:
        text = format(value, ".20f").rstrip("0").rstrip(".")
    return text.replace(".", decimal)


def moment(value: dt.datetime) -> str:
    """To the nearest second: moments are stored as fractions of a day, which hardly ever are whole seconds."""
    if value.microsecond >= 500_000 and value < dt.datetime.max - dt.timedelta(seconds=1):
        value += dt.timedelta(seconds=1)
    return value.replace(microsecond=0, tzinfo=None).isoformat(" ")


def span(seconds: float) -> str:
    """A time of day, or a longer span, as H:MM:SS."""
    whole = round(abs(seconds))
    sign = "-" if seconds < 0 and whole else ""
    return f"{sign}{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
