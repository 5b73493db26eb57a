"""A refresh makes anew what is new and nothing else, and what it gives is what a build from nothing gives.

"From nothing" means without any part, digest or DuckDB file of before. The releases of before stay in its sight: what
they showed is an input of `public/`, where figures stand until enough answers changed and the audit looks back.
"""

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import Once
from small import FEW, MESSAGES, ORGANISATIONS, PANEL, POPULATION, SECTORS, Row, Small, files_that_differ

from pipelines import models, parts, plan
from pipelines.changes import record
from pipelines.errors import MeetlatError

FULL = bool(os.environ.get("MEETLAT_TEST_FULL"))
MONTHS = [f"2011-{m:02}" for m in (1, 2, 3, 11, 12)]


class Story:
    """A small project to which things happen at random, and what there is for them to happen to."""

    def __init__(self, small: Small, by: random.Random) -> None:
        self.small, self.by = small, by
        self.delivered: dict[str, list[tuple[str, list[Row]]]] = {MESSAGES: [], PANEL: []}
        self.told: list[str] = []

    def begin(self) -> None:
        """Every story begins the same."""
        by, self.by = self.by, random.Random(2011)
        for source, n in ((MESSAGES, 200), (PANEL, 120)):
            for order in ("2000", "3000"):
                self._deliver(source, order, n)
        self.by = by

    def happens(self) -> None:
        """One thing or two, before the next refresh."""
        for _ in range(self.by.choice([1, 1, 2])):
            what = self.by.choice(EVENTS)
            self.told.append(what.__name__)
            what(self)

    def _deliver(self, source: str, order: str, n: int) -> None:
        self._write(source, order, self.small.rows(n, MONTHS, self.by))

    def _write(self, source: str, order: str, rows: list[Row]) -> None:
        self.small.deliver(source, order, rows)
        self.delivered[source] = sorted([*(d for d in self.delivered[source] if d[0] != order), (order, rows)])

    def _source(self) -> str:
        return self.by.choice([MESSAGES, PANEL])

    def _order(self, source: str, last: bool) -> str:
        known = [int(order) for order, _ in self.delivered[source]]
        found = max(known) + 100 if last else self.by.randrange(1000, max(known))
        while found in known:
            found += 1
        return f"{found:04}"

    # what happens

    def new_delivery(self) -> None:
        source = self._source()
        self._deliver(source, self._order(source, last=True), self.by.randint(1, 60))

    def late_delivery(self) -> None:
        """It belongs before others that are there."""
        source = self._source()
        self._deliver(source, self._order(source, last=False), self.by.randint(1, 60))

    def correction_delivered(self) -> None:
        """Responses of several deliveries come again, some with another answer."""
        source = self._source()
        known = [row for _, rows in self.delivered[source] for row in rows]
        again = [row | {"sentiment": self.by.choice([1, 2, 3])} for row in self.by.sample(known, min(40, len(known)))]
        self._write(source, self._order(source, last=True), list({row["id"]: row for row in again}.values()))

    def other_bytes(self) -> None:
        """A delivery comes again under its own name, and a person accepts that."""
        source = self._source()
        order, rows = self.by.choice(self.delivered[source])
        self._write(source, order, [row | {"sentiment": self.by.choice([1, 2, 3])} for row in rows[1:]] or rows)
        self._accept(source)

    def withdrawn(self) -> None:
        source = self._source()
        if len(self.delivered[source]) > 1:
            order, _ = gone = self.by.choice(self.delivered[source])
            self.delivered[source].remove(gone)
            (self.small.raw / source / f"{source}_{order}.jsonl.gz").unlink()
            self._accept(source)

    def _accept(self, source: str) -> None:
        with suppress(MeetlatError):  # what was never published may go unasked
            plan.accept(self.small.here, source)

    def correction_declared(self) -> None:
        source = self._source()
        row = self.by.choice(self.by.choice(self.delivered[source])[1])
        told = f'[{{"match": {{"id": "{row["id"]}"}}, "set": {{"sentiment": "3"}}, "reason": "test"}}]'
        (self.small.raw / source / "corrections.yml").write_text(told)

    def label(self) -> None:
        self._edit(lambda contract: contract.update(title=f"A title, number {self.by.randrange(1000)}"))

    def rule(self) -> None:
        """Whether pilots count."""

        def edit(contract: dict[str, object]) -> None:
            status = contract["columns"]["kind"]  # type: ignore[index]
            pilots = "pilot" in status["keep"]
            status["keep"] = ["normal"] if pilots else ["normal", "pilot"]
            status["exclude"] = {"pilot": "test_row"} if pilots else {}

        self._edit(edit)

    def weight(self) -> None:
        """Whether the weight of a response is used."""

        def edit(contract: dict[str, object]) -> None:
            if contract.pop("discard", None):
                contract["columns"]["weight"] = {"role": "weight"}  # type: ignore[index]
            else:
                contract["discard"] = ["weight"]
                del contract["columns"]["weight"]  # type: ignore[attr-defined]

        self._edit(edit)

    def _edit(self, edit: Callable[[dict[str, object]], None]) -> None:
        source = self._source()
        edit(self.small.contracts[source])
        self.small.agree(source)

    def organisation_moved(self) -> None:
        self.small.organisations[self.by.choice(sorted(ORGANISATIONS))] = self.by.choice(SECTORS)
        self.small.list_organisations()

    def participant(self) -> None:
        self.small.organisations[f"newcomer_{self.by.randrange(100)}"] = self.by.choice(SECTORS)
        self.small.list_organisations()

    def margin(self) -> None:
        self.small.reference("population.csv", POPULATION.format(self.by.randint(50, 150)))

    def disclosure(self) -> None:
        self.small.reference("disclosure.yml", f"periods: [year]\nrespondents: {self.by.choice([5, 10, 40])}\n")

    def erasure(self) -> None:
        source = self._source()
        known = sorted({row["author"] for _, rows in self.delivered[source] for row in rows})
        self.small.erase(source, self.by.sample(known, 3))


EVENTS = [
    Story.new_delivery, Story.new_delivery, Story.late_delivery, Story.correction_delivered,
    Story.correction_delivered, Story.other_bytes, Story.withdrawn, Story.correction_declared, Story.label, Story.rule,
    Story.weight, Story.organisation_moved, Story.participant, Story.margin, Story.disclosure, Story.erasure,
]  # fmt: skip


def without_parts(small: Small, root: Path) -> Small:
    """The same raw folder, key, register and releases of before, and nothing else that was made."""
    other = Small.beside(small, root)
    shutil.copytree(small.here.warehouse, other.here.warehouse, symlinks=True, copy_function=parts.link)
    shutil.rmtree(other.here.warehouse / "parts")
    shutil.copytree(small.here.state, other.here.state)
    (other.here.state / "digests.json").unlink(missing_ok=True)
    return other


@pytest.fixture(scope="session")
def begun(once: Once) -> Path:
    """The warehouse after the first refresh of every story, with few models. Only to look at."""

    def make(folder: Path) -> None:
        small = Small(folder, FEW)
        Story(small, random.Random()).begin()
        small.refresh()

    return once("begun", make) / "warehouse"


def told(tmp_path: Path, begun: Path, seed: int, tables: Sequence[str] | None = FEW) -> Story:
    """The beginning of a story, refreshed once."""
    small = Small(tmp_path / "small", tables)
    story = Story(small, random.Random(seed))
    story.begin()
    if tables == FEW:
        shutil.copytree(begun, small.here.warehouse, symlinks=True)
    small.refresh()
    return story


def nights(story: Story, n: int, folder: Path) -> None:
    """Let things happen on so many nights, and compare the last with a build from nothing."""
    small = story.small
    for _ in range(n - 1):
        story.happens()
        small.refresh()
    story.happens()
    other = without_parts(small, folder)
    small.refresh()
    other.refresh(full=True)
    assert small.place.release_id() == other.place.release_id(), story.told
    assert files_that_differ(small.place.current, other.place.current) == [], story.told


@pytest.mark.parametrize("seed", range(10))
def test_nights_give_what_a_build_from_nothing_gives(tmp_path: Path, begun: Path, seed: int) -> None:
    nights(told(tmp_path, begun, seed), 2, tmp_path / "nothing")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 60 if FULL else 13))
def test_each_night_gives_what_a_build_from_nothing_gives(tmp_path: Path, begun: Path, seed: int) -> None:
    """In every fifth sequence with all models. At the end beside a first release too."""
    story = told(tmp_path, begun, seed, FEW if seed % 5 else None)
    for night in range(4):
        nights(story, 1, tmp_path / f"nothing{night}")
    alone = Small.beside(story.small, tmp_path / "alone")
    shutil.copytree(story.small.here.state, alone.here.state)
    alone.refresh(full=True)
    found = files_that_differ(story.small.place.current, alone.place.current)
    assert [name for name in found if not depends_on_what_was_shown(name)] == [], story.told


def test_deliveries_that_are_read_together_give_what_each_gives(
    tmp_path: Path, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As is done where there are very many of them. A new one is then read together with few others."""
    monkeypatch.setattr(plan, "MANY", 1)
    story = told(tmp_path, begun, 3)
    story.new_delivery()
    build = story.small.refresh()
    together = {name for name in made(build) if name.startswith("bundle.")}
    assert {"bundle.cube.delivery_counts", "bundle.staged.receipt"} <= together
    monkeypatch.undo()
    alone = Small.beside(story.small, tmp_path / "alone")
    shutil.copytree(story.small.here.state, alone.here.state)
    alone.refresh(full=True)
    found = files_that_differ(story.small.place.current, alone.place.current)
    assert [name for name in found if not depends_on_what_was_shown(name)] == []


def depends_on_what_was_shown(name: str) -> bool:
    """Whether a file tells what public/ showed before, or names the release after that, so that a first one differs."""
    shown = ("public/", "participants/", "restricted/published_figures")
    named = ("manifest.json", "CITATION.cff", "benchmark.xlsx", "codebook.")
    return name.startswith((*shown, *named)) or any(
        table in name for table in ("meta.disclosure", "meta.release", "meta.change")
    )


# --- what is made anew ---------------------------------------------------------------------------


def made(build: plan.Build) -> Counter[str]:
    """How many parts of each table, source and list were made anew."""
    return Counter(name for name, _, _ in build.made)


def refreshed(small: Small) -> tuple[Counter[str], set[str]]:
    """What the next refresh makes anew, and the deliveries whose facts are others than before.

    What `--explain` names beforehand is that and all that might have changed.
    """
    before = plan.manifest(small.here)["tables"]["core.fct_answer"]["made_of"]
    foreseen = set(plan.stale(plan.look(small.here)))
    build = small.refresh()
    anew = made(build)
    stages = {f"{step}.{source}": source for step in ("staged", "superseded") for source in (MESSAGES, PANEL)}
    named = {stages.get(name, name) for name in anew if name in stages or name in build.inputs.models}
    assert named <= foreseen
    after = plan.manifest(small.here)["tables"]["core.fct_answer"]["made_of"]
    return anew, {key for key in after if before.get(key) != after[key]}


def explained(small: Small) -> list[str]:
    """What `--explain` says went in otherwise."""
    return record.news(plan.look(small.here), plan.manifest(small.here))


def readers(small: Small, table: str) -> set[str]:
    """A table and all that read it, directly or not."""
    found = {table}
    for name, model in models.load(small.sql).items():  # upstreams first
        if found & set(model.upstreams):
            found.add(name)
    return found


def test_a_comment_in_a_query_makes_nothing_anew(tmp_path: Path, begun: Path) -> None:
    small = told(tmp_path, begun, 0).small
    release = small.place.release_id()
    for name in ("estimate/domain.sql", "cube/score_counts.sql"):
        file = small.sql / name
        file.write_text(file.read_text().rstrip() + "\n\n  -- a remark\n/* and another */\n")
    assert plan.stale(plan.look(small.here)) == {}
    assert not small.refresh().made
    assert small.place.release_id() == release


@pytest.mark.parametrize(
    ("table", "was", "now"),
    [
        ("mart.social_sentiment", "SELECT * EXCLUDE", "SELECT DISTINCT * EXCLUDE"),
        pytest.param("estimate.series_break", "SELECT", "SELECT DISTINCT", marks=pytest.mark.long),
    ],
)
def test_another_query_makes_its_table_and_those_who_read_it(
    tmp_path: Path, begun: Path, table: str, was: str, now: str
) -> None:
    small = told(tmp_path, begun, 0).small
    file = small.sql / f"{table.replace('.', '/')}.sql"
    assert was in file.read_text()
    head, body = file.read_text().split(f"\n{was}", 1)
    file.write_text(f"{head}\n{now}{body}")
    assert explained(small) == [f"{table}: its query or header changed."]
    anew, deliveries = refreshed(small)
    assert set(anew) == readers(small, table)
    assert not deliveries


@pytest.mark.parametrize(
    "edit",
    [Story.rule, pytest.param(Story.label, marks=pytest.mark.long), pytest.param(Story.weight, marks=pytest.mark.long)],
)
def test_another_contract_stages_its_source_only(tmp_path: Path, begun: Path, edit: Callable[[Story], None]) -> None:
    story = told(tmp_path, begun, 0)
    story.by = AlwaysFirst()
    edit(story)
    (said,) = explained(story.small)
    assert said.startswith(f"{MESSAGES}/contract.yml") or said.startswith("reference/")
    anew, deliveries = refreshed(story.small)
    assert anew["staged.messages"] == 2 and "staged.panel" not in anew and "superseded.panel" not in anew
    assert {key.split("/")[0] for key in deliveries} == {MESSAGES}
    assert anew["cube.delivery_counts"] == 2


class AlwaysFirst(random.Random):
    """Chooses the first of everything: of the sources, the messages."""

    def choice(self, seq: Any) -> Any:
        return seq[0]


def test_a_new_participant_touches_no_delivery(tmp_path: Path, begun: Path) -> None:
    story = told(tmp_path, begun, 0)
    story.participant()
    assert explained(story.small) == ["reference/organisations.csv changed."]
    anew, deliveries = refreshed(story.small)
    assert "core.dim_organisation" in anew
    of_deliveries = {name for name, model in models.load(story.small.sql).items() if model.per_delivery}
    assert not anew.keys() & {*of_deliveries, "staged.messages", "staged.panel"}
    assert not deliveries


def test_a_correction_touches_the_deliveries_that_it_supersedes(tmp_path: Path, begun: Path) -> None:
    story = told(tmp_path, begun, 0)
    (_, first), *_ = story.delivered[MESSAGES]
    story._write(MESSAGES, "4000", [row | {"sentiment": 3} for row in first[:10]])
    assert explained(story.small) == [f"{MESSAGES}/{MESSAGES}_4000.jsonl.gz is new."]
    anew, deliveries = refreshed(story.small)
    ids = {d.order: f"{MESSAGES}/{d.id}" for d in plan.look(story.small.here).sources[MESSAGES].deliveries}
    assert deliveries == {ids["2000"], ids["4000"]}
    assert anew["staged.messages"] == 1 and "staged.panel" not in anew
    assert {n for name, n in anew.items() if name in ("core.fct_answer", "cube.delivery_counts")} == {2}


# --- what is not done again ----------------------------------------------------------------------


def test_a_file_is_read_again_where_anything_about_it_is_otherwise(tmp_path: Path, begun: Path) -> None:
    """Size, time and inode stand for the bytes; with --full nothing does."""
    small = told(tmp_path, begun, 0).small
    file = next((small.raw / MESSAGES).glob("*.gz"))
    stat, bytes_ = file.stat(), file.read_bytes()
    others = bytes_[:-1] + bytes([bytes_[-1] ^ 1])

    def told_of(full: bool = False) -> bool:
        return bool(plan.look(small.here, full=full).stopped)

    file.write_bytes(others)  # the same inode, size and time
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert not told_of()
    assert told_of(full=True)
    file.write_bytes(bytes_)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert not told_of(full=True)
    aside = tmp_path / "copy"
    aside.write_bytes(others)
    os.utime(aside, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    aside.replace(file)  # another inode
    assert told_of()
