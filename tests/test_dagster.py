"""What Dagster sees: the definitions load without a warning, name every source and table, and run in process."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from pipelines import models, settings
from pipelines.definitions import defs, nightly
from tests.conftest import Place

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def loaded() -> dg.Definitions:
    return defs()  # type: ignore[operator]


def test_there_is_an_asset_for_every_source_and_every_table(loaded: dg.Definitions) -> None:
    keys = {"/".join(key.path) for key in loaded.resolve_asset_graph().get_all_asset_keys()}
    every = models.load(settings.load().sql).values()
    tables = {model.name.replace(".", "/") for model in every if not model.working}  # steps on the way are none
    sources = {f"staged/{p.parent.name}" for p in (PROJECT / "raw").glob("*/contract.yml")}
    assert keys == tables | sources | {"deliveries", "release"}


def test_every_asset_says_what_it_is(loaded: dg.Definitions) -> None:
    graph = loaded.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.kinds, key
        if key.path[0] in ("core", "cube", "estimate", "mart", "meta"):
            schema = node.metadata["dagster/column_schema"]
            assert all(column.description for column in schema.columns), key


def test_every_check_of_a_header_is_an_asset_check(loaded: dg.Definitions) -> None:
    checks = {("/".join(c.asset_key.path), c.name) for c in loaded.resolve_asset_graph().asset_check_keys}
    for model in models.load(settings.load().sql).values():
        if model.working:
            continue
        for name in ("grain", *(check.name for check in model.checks)):
            assert (model.name.replace(".", "/"), name) in checks


def test_the_schedule_avoids_the_hour_that_comes_twice() -> None:
    assert nightly.cron_schedule == "15 4 * * *"
    assert nightly.execution_timezone == "Europe/Amsterdam"


def test_an_asset_materialised_alone_makes_its_parts_and_publishes_nothing(place: Place) -> None:
    """As the button in the Dagster pages does it: the job's own resource, in another process."""
    program = (
        "import dagster as dg\n"
        "from pipelines.definitions import defs\n"
        "job = defs().resolve_job_def('nightly_refresh')\n"
        "key = dg.AssetKey(['mart', 'channel_rating'])\n"
        "result = job.execute_in_process(asset_selection=[key])\n"
        "assert result.success\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:pipelines", "-c", program],
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert list((place.warehouse / "parts" / "mart.channel_rating").iterdir())
    assert not (place.warehouse / "current").is_symlink()


def test_telemetry_is_off(built: Place) -> None:
    text = (built.state / "dagster" / "dagster.yaml").read_text()
    assert "telemetry:\n  enabled: false" in text
