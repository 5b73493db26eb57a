"""The two ways to say no. Every message is a sentence for the person who can mend it.

No other exception is meant to reach a user; one that does is a bug.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class MeetlatError(Exception):
    """Something that stops the whole command: a wrong setting, a failed check, a lock."""


class DeliveryRefused(Exception):
    """One delivery cannot be read as its contract says. The other deliveries go on."""


# what a machine may refuse at any moment, and what a person can do about it
MACHINE = {
    errno.ENOSPC: "the disk is full; free some space, then refresh again",
    errno.EDQUOT: "the quota is used up; free some space, then refresh again",
    errno.EROFS: "the file system is read-only; have it mounted writable",
    errno.EACCES: "permission is missing; give the user who refreshes the right to write there",
    errno.EPERM: "permission is missing; give the user who refreshes the right to write there",
    errno.EIO: "the disk reports a fault; look at it before anything else",
    errno.EMFILE: "too many files are open; raise the limit (`ulimit -n`)",
}
# what SQLite says of its file, whose errors have no number
OF_SQLITE = ("readonly database", "unable to open database file", "disk I/O error")


def of_the_machine(error: BaseException, place: Path) -> str | None:
    """The sentence for a full disk, a missing permission or too little memory; None for any other error.

    The engine and the libraries hide the number of the error in a text, or behind errors of their own.
    """
    seen: BaseException | None = error
    while seen is not None:
        if type(seen).__name__ == "OutOfMemoryException":
            return (
                f"The engine ran out of memory or of room to spill at {place}; set MEETLAT_MEMORY higher, or free disk."
            )
        for number, remedy in MACHINE.items():
            if getattr(seen, "errno", None) == number or os.strerror(number) in str(seen):
                return f"{getattr(seen, 'filename', None) or place} cannot be written: {remedy}."
        if "database or disk is full" in str(seen):
            return f"{place} cannot be written: {MACHINE[errno.ENOSPC]}."
        if any(said in str(seen) for said in OF_SQLITE):
            return (
                f"{place} cannot be written: the run history in it could not be opened or changed; see to it that the "
                "user who refreshes may write everything there, and that its disk is sound and mounted writable."
            )
        seen = seen.__cause__ or seen.__context__
    return None


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn what the machine refuses while `place` is written into a MeetlatError."""
    try:
        yield
    except (MeetlatError, DeliveryRefused):
        raise
    except Exception as error:
        sentence = of_the_machine(error, place)
        if sentence is None:
            raise
        raise MeetlatError(sentence) from None


def of_a_file(error: BaseException) -> str | None:
    """The sentence for a file that cannot be opened, read or written; None for any other error."""
    if not isinstance(error, OSError) or error.filename is None:
        return None
    return f"{error.filename}: {error.strerror}. Give the user who runs this the right to it, or mend the path."


@contextmanager
def reading(place: Path) -> Iterator[None]:
    """Turn what keeps `place` from being read into a MeetlatError. That it is not there is for the caller to judge."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.filename is None:
            error.filename = str(place)
        raise MeetlatError(of_a_file(error)) from None


def there(file: Path) -> bool:
    """Whether there is such a file. Raises MeetlatError where nobody may look: else it would be taken for gone."""
    with reading(file):
        try:
            return stat.S_ISREG(file.stat().st_mode)
        except FileNotFoundError:
            return False


def listed(names: Sequence[str], room: int = 300) -> str:
    """Names in a sentence: as many as anybody reads, and how many more there are."""
    shown: list[str] = []
    for name in names:
        shown.append(name if len(name) <= 120 else f"{name[:119]}…")
        room -= len(shown[-1]) + 4
        if room < 0:
            break
    more = len(names) - len(shown)
    return f"{shown} and {more:,} more" if more else str(shown)
