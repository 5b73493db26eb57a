"""Which responses were replaced and who came back: found at once, or night by night of what was known before."""

from collections import Counter
from pathlib import Path
from random import Random

import duckdb
import pytest

from pipelines import settings, supersession
from pipelines.parts import Part

Responses = list[tuple[str, str, int]]  # response, respondent, questions that were not asked


def staged(folder: Path, place: int, responses: Responses) -> Part:
    made = folder / f"staged{place}"
    made.mkdir()
    with duckdb.connect() as con:
        con.execute("CREATE TABLE r (response_id VARCHAR, respondent_id VARCHAR, n_not_asked INTEGER)")
        con.executemany("INSERT INTO r VALUES (?, ?, ?)", responses)
        con.execute(f"COPY r TO '{made / 'response.parquet'}'")
    return Part("staged.s", str(place), made, {})


def by_hand(mode: str, nights: list[Responses]) -> list[tuple[set[tuple[str, int]], set[str]]]:
    """The two lists of every delivery."""
    newest = {response: place for place, night in enumerate(nights) for response, _, _ in night}
    last = len(nights) - 1
    gone = [
        {(r, n) for r, _, n in night if (place < last if mode == "snapshot" else place < newest[r])}
        for place, night in enumerate(nights)
    ]
    left = [[who for r, who, n in night if (r, n) not in gone[place]] for place, night in enumerate(nights)]
    times = Counter(who for night in left for who in night)
    return [(gone[place], {who for who in left[place] if times[who] > 1}) for place in range(len(nights))]


@pytest.mark.parametrize("mode", ["append", "snapshot"])
@pytest.mark.parametrize("seed", range(8))
def test_night_by_night_equals_all_at_once(tmp_path: Path, mode: str, seed: int) -> None:
    random = Random(seed)
    nights: list[Responses] = []
    parts: list[tuple[str, Part]] = []
    before = None
    for place in range(6):
        ids = random.sample(range(60), random.randint(0 if place else 1, 30))
        nights.append([(f"r{i}", f"p{random.choice((i, i % 7))}", i % 3) for i in ids])
        parts.append((f"d{place}", staged(tmp_path, place, nights[-1])))
        made = {}
        for name, known in (("extended", before), ("anew", None)):
            folder = tmp_path / f"{name}{place}"
            folder.mkdir()
            facts = supersession.supersede(settings.load(), "s", mode, parts, folder, known)
            made[name] = Part("superseded.s", str(place), folder, facts)
        assert made["extended"].facts == made["anew"].facts  # rows and digests of every list
        before = made["extended"]
        for (id, _), (gone, again) in zip(parts, by_hand(mode, nights), strict=True):
            with duckdb.connect() as con:
                found = con.execute(
                    f"SELECT response_id, n_not_asked FROM '{before.file(f'{id}.superseded')}'"
                ).fetchall()
                back = con.execute(f"SELECT respondent_id FROM '{before.file(f'{id}.repeat_respondent')}'").fetchall()
            assert (set(found), {who for (who,) in back}) == (gone, again)
            assert before.facts[id]["superseded"]["rows"] == len(gone)
