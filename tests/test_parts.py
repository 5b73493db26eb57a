"""The store of parts, where several processes on several machines write to it."""

import json
from pathlib import Path

import pytest

from pipelines.parts import Store


def test_a_part_that_two_make_at_once_is_one_part(tmp_path: Path) -> None:
    def write(folder: Path) -> dict[str, int]:
        (folder / "data.parquet").write_text("the same bytes")
        return {"rows": 1}

    def slowly(folder: Path) -> dict[str, int]:
        Store(tmp_path).make("staged.x", "hash", write)  # another process begins later and ends earlier
        return write(folder)

    part = Store(tmp_path).make("staged.x", "hash", slowly)
    assert part.facts == {"rows": 1} and part.file().read_text() == "the same bytes"
    assert not list((tmp_path / ".aside").iterdir())


def test_what_is_written_on_while_it_is_cleaned_never_becomes_a_part(tmp_path: Path) -> None:
    def write(folder: Path) -> dict[str, int]:
        Store(tmp_path).clean()
        return {}

    with pytest.raises(FileNotFoundError):
        Store(tmp_path).make("staged.x", "hash", write)
    assert Store(tmp_path).find("staged.x", "hash") is None
    assert json.dumps(sorted(p.name for p in tmp_path.iterdir())) == "[]"
