"""Everything Dagster sees, in one list: assets, the nightly job, its schedule and a sensor.

How an asset does its work is in `assets.py`; how a refresh is run without Dagster's daemon is in
`refresh.py`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from pipelines import assets, contracts, deliveries, models, settings
from pipelines.contracts import Contract
from pipelines.models import Model

nightly_refresh = dg.define_asset_job(
    "nightly_refresh",
    selection=dg.AssetSelection.all(),
    description="Stage what is new, make what depends on it, publish a release.",
)

nightly = dg.ScheduleDefinition(
    name="nightly",
    job=nightly_refresh,
    cron_schedule="15 4 * * *",  # 02:00 does not exist on one night a year and comes twice on another
    execution_timezone="Europe/Amsterdam",
)


@dg.sensor(name="new_deliveries", job=nightly_refresh, minimum_interval_seconds=60)
def new_deliveries(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Asks for a refresh when raw/ has changed since the last look, unless one is running."""
    from pipelines import refresh

    here = settings.load()
    if holder := refresh.holder(here):
        return dg.SkipReason(holder)
    seen = refresh.listing(here)
    if seen == context.cursor:
        return dg.SkipReason("raw/ is as it was.")
    context.update_cursor(seen)
    return dg.RunRequest()


@dg.run_failure_sensor(name="tell_of_failure", monitored_jobs=[nightly_refresh])
def tell_of_failure(context: dg.RunFailureSensorContext) -> None:
    """Tells MEETLAT_NOTIFY of a failed run that Dagster started."""
    from pipelines import refresh

    refresh.conclude(settings.load(), refresh.NOTHING_PUBLISHED, [context.failure_event.message or "The run failed."])


@dg.resource(description="What this run depends on, looked up once, under the lock of the warehouse.")
def build(context: dg.InitResourceContext) -> Iterator[Any]:
    from pipelines import erasure, plan, refresh

    here = settings.load()
    with refresh.locked(here):
        refresh.prepare(here)
        made = plan.Build(plan.look(here), report=context.log.info if context.log else print)
        yield made
        if made.published:
            refresh.tidy(here)
            trouble = refresh.troubles(made) + erasure.still_served(here)
            refresh.conclude(here, refresh.WITHOUT_SOME if trouble else refresh.WELL, trouble)


def define(models: Mapping[str, Model], sources: dict[str, Contract], resource: Any) -> dg.Definitions:
    """The list, for these models and sources; `resource` is a Build or what makes one a run.

    Steps on the way (@working) are no assets: they are made by the tables that read them.
    """
    tables = [model for model in models.values() if not model.working]
    return dg.Definitions(
        assets=[
            *(assets.source_asset(name, contract) for name, contract in sources.items()),
            assets.deliveries_asset(sources),
            *(assets.table_asset(model, models) for model in tables),
            assets.release_asset(tables),
        ],
        jobs=[nightly_refresh],
        schedules=[nightly],
        sensors=[new_deliveries, tell_of_failure],
        resources={"build": resource},
        executor=dg.in_process_executor,  # one process: DuckDB itself uses every core
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `dagster dev` loads."""
    here = settings.load()
    agreed = {f.name: contracts.load(f) for f in deliveries.sources(here.raw)}
    return define(models.load(here.sql), agreed, build)
