"""A first contract for an export that nobody has described yet: `meetlat draft FILE`.

Everything is guessed here and nowhere else, from the first rows; no refresh comes here. The result is
a proposal in YAML. What a person must decide is a blank behind a `# QUESTION`, which `meetlat check`
refuses. Values of personal columns and of free text are never shown.

  recognise    which tool wrote the file, and in which format
  dictionary   what a file of a statistics program says about its own columns
  columns      the first rows of it, column by column
  vocabulary   the words by which headings and values are known, in the languages that we meet
  clues        what one column looks like, taken alone
  proposal     what each column is for, given all the others
  contract     the proposal as the text of a contract
  notation     how texts and values are written in YAML
"""

import re
from pathlib import Path

from pipelines import engine, reference
from pipelines.draft import columns, contract, recognise
from pipelines.draft.proposal import Proposal
from pipelines.errors import DeliveryRefused, MeetlatError
from pipelines.settings import Settings


def draft(settings: Settings, path: Path) -> str:
    """The text of a proposed contract. Raises MeetlatError with a sentence if the file cannot be read."""
    if not path.is_file():
        raise MeetlatError(f"{path} is not a file; give an export.")
    try:
        export = recognise.recognise(path)
        with engine.connect(settings, settings.state, alone=True) as con:
            found = columns.read(con, path, export)
    except DeliveryRefused as refused:
        raise MeetlatError(str(refused)) from None
    if not any(column.rows for column in found):
        raise MeetlatError(f"{path.name} has headings but no rows; draft from an export that holds responses.")
    return contract.text(path, Proposal(export, found, reference.load(settings.raw, {})))


def write(settings: Settings, path: Path, source: str) -> Path:
    """Draft into `raw/<source>/contract.yml`, which must not exist yet."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", source) or source == "reference":
        raise MeetlatError(f"'{source}' cannot be the name of a source; use lower-case letters, digits and _ only.")
    made = settings.raw / source / "contract.yml"
    if made.exists():
        raise MeetlatError(f"{made} exists already; remove it first, or draft to standard output.")
    text = draft(settings, path)
    made.parent.mkdir(parents=True, exist_ok=True)
    with made.open("x", encoding="utf-8") as file:
        file.write(text)
    return made


def questions(text: str) -> int:
    """How many questions a draft has."""
    return text.count("# QUESTION")
