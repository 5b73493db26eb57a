"""The only door for personal data: the key, pseudonyms, and what may be shown of a refused value.

Identifying values never pass this module as they are: ids become keyed hashes inside the query
that reads them, and a refused value is shown only as far as `shown` allows.
"""

import hashlib
import os
import secrets
import stat
import uuid
from pathlib import Path

from pipelines.engine import quoted
from pipelines.errors import MeetlatError, there, writing
from pipelines.parts import flush


def load_key(state: Path, make: bool = True) -> bytes:
    """The secret that pseudonyms are made with: MEETLAT_KEY, or the file `key` in the state folder.

    The file is made at the first refresh and must be readable by its owner only. Without `make` a
    missing key stays missing: what is looked up with it may be explained, not made.
    """
    if text := os.environ.get("MEETLAT_KEY"):
        if len(text) < 32:
            raise MeetlatError("MEETLAT_KEY has fewer than 32 characters; make one with `openssl rand -hex 32`.")
        return text.encode()
    path = state / "key"
    if not make and not there(path):
        return b"no key yet"
    return load_key_file(path)


def load_key_file(path: Path) -> bytes:
    """The secret in a file that only its owner can read; made if it is not there."""
    if not there(path):
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            aside = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
            try:
                handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(handle, "w") as file:
                    file.write(secrets.token_hex(32))
                flush(aside)
                aside.rename(path)
                flush(path.parent)
            finally:
                aside.unlink(missing_ok=True)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise MeetlatError(f"{path} can be read by others (mode {mode:04o}); run `chmod 600 {path}`.")
    secret = path.read_text().strip()
    if not secret:  # with it everybody could work out the pseudonyms, and nobody who was erased would be known
        raise MeetlatError(f"{path} is empty, so it is no key; restore it from a backup of the state folder.")
    return secret.encode()


def fingerprint(key: bytes) -> str:
    """Tells two keys apart without telling anything about either."""
    return hashlib.sha256(b"meetlat key fingerprint|" + key).hexdigest()[:16]


def prefix(key: bytes, *domain: str) -> str:
    """What stands before an id when it is hashed: the key and the domain in which the id means something.

    That is controller, source and kind of id. The key is hashed together with it first, so its own bytes never reach
    a query.
    """
    return hashlib.sha256(key + b"|" + "|".join(domain).encode()).hexdigest() + "|"


def pseudonym(variable: str, column: str) -> str:
    """SQL for the pseudonym of `column`: 128 bits of a keyed SHA-256, in hexadecimal.

    The truncation leaves the inner state of the hash unknown, so it cannot be extended.
    """
    return f"left(sha256(getvariable('{variable}') || {column}), 32)"


def hashed(prefix: str, id: str) -> str:
    """The same of one id, for what Python holds itself."""
    return hashlib.sha256((prefix + id).encode()).hexdigest()[:32]


def shown(column: str) -> str:
    """SQL for what the quarantine may keep of a refused value.

    Numbers and values of at most six characters stay; of anything longer only the shape is kept:
    letters become a, digits 9, and the length is cut at 24.
    """
    shape = f"left(regexp_replace(regexp_replace({column}, '\\p{{L}}', 'a', 'g'), '[0-9]', '9', 'g'), 24)"
    number = f"regexp_full_match({column}, '[+-]?[0-9]{{1,6}}([.,][0-9]{{1,6}})?')"
    return f"CASE WHEN length({column}) <= 6 OR {number} THEN {column} ELSE {shape} END"


MASKS = (  # what gives a person away in a text most often; a name does so too, and is not found like this
    (r"[\w.+-]+@[\w-]+(\.[\w-]+)+", "[e-mail]"),
    (r"https?://\S+|www\.\S+", "[link]"),
    (r"\b[0-9]{4} ?[A-Z]{2}\b", "[postcode]"),
    (r"\+?[0-9][0-9 ().-]{6,}[0-9]", "[number]"),
    (r"(?i)\b[\pL'’.-]+(straat|laan|weg|plein|gracht|kade|dijk|singel| street| road| lane) [0-9]+\w*", "[address]"),
)


def masked(column: str) -> str:
    """SQL: a free text with e-mail addresses, links, postcodes, long numbers and street addresses masked."""
    for pattern, mask in MASKS:
        column = f"regexp_replace({column}, {quoted(pattern)}, '{mask}', 'g')"
    return column


def heading(name: str) -> str:
    """What a message may show of a column that no contract knows: its name, unless it looks like a person's."""
    if "@" not in name and sum(c.isdigit() for c in name) <= 4 and len(name) <= 120:
        return name
    return "".join("a" if c.isalpha() else "9" if c.isdigit() else c for c in name[:24])
