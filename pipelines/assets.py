"""The Dagster assets: one a source, one of all deliveries, one a table, and the release. Each calls one function of
`Build`.

What is made, from what and whether it is right is decided in `plan.py` and `models.py`; this module
only tells Dagster about it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg

from pipelines.contracts import Contract
from pipelines.errors import MeetlatError
from pipelines.models import CheckFailed, Model
from pipelines.parts import digest

OWNERS = ["team:meetlat"]
DELIVERIES = dg.AssetKey("deliveries")
RELEASE = dg.AssetKey("release")
WAREHOUSE = "warehouse"


def source_key(source: str) -> dg.AssetKey:
    return dg.AssetKey(["staged", source])


def table_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(name.split("."))


def source_asset(name: str, contract: Contract) -> dg.AssetsDefinition:
    """Stages the deliveries of one source and compares them with each other."""
    key = source_key(name)

    @dg.asset(
        key=key,
        group_name="sources",
        kinds={"python", "parquet"},
        owners=OWNERS,
        description=f"{contract.title} (raw/{name}): every delivery staged as typed answers, with its receipt.",
        check_specs=[
            dg.AssetCheckSpec("deliveries_accepted", asset=key, description="every delivery could be read"),
            dg.AssetCheckSpec("deliveries_present", asset=key, description="no published delivery is gone or changed"),
        ],
        required_resource_keys={"build"},
        tags={"monitor": contract.monitor, "provenance": contract.provenance},
    )
    def stage(context: dg.AssetExecutionContext) -> Iterator[Any]:
        build = context.resources.build
        source = build.inputs.sources[name]
        try:
            accepted = build.accepted(source)
            build.superseded(source)
        except MeetlatError as error:
            raise _failed(build, error) from None
        refused = [build.refused[d.path] for d in source.deliveries if d.path in build.refused]
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={
                "deliveries": len(accepted),
                "refused": "\n".join(refused) or "none",
                "dagster/row_count": sum(part.facts["rows"]["answer"] for _, part in accepted),
                "responses": sum(part.facts["rows"]["response"] for _, part in accepted),
                "quarantined": sum(part.facts["rows"]["quarantine"] for _, part in accepted),
            },
        )
        for name_, fault in (
            ("deliveries_accepted", "\n".join(refused)),
            ("deliveries_present", source.stopped),
        ):
            yield dg.AssetCheckResult(
                passed=not fault,
                check_name=name_,
                asset_key=key,
                severity=dg.AssetCheckSeverity.WARN,
                description=fault or "in order",
            )

    return stage


def deliveries_asset(sources: Iterable[str]) -> dg.AssetsDefinition:
    """What is staged of all sources. Tables read it, not each source: Dagster looks up everything an asset reads."""

    @dg.asset(
        key=DELIVERIES,
        deps=[source_key(s) for s in sources],
        group_name="sources",
        kinds={"python", "parquet"},
        owners=OWNERS,
        description="The deliveries of all sources: those that could be read, and those that were refused.",
        required_resource_keys={"build"},
    )
    def every(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        build = context.resources.build
        every = build.inputs.sources.values()
        try:
            accepted = sum(len(build.accepted(source)) for source in every)
        except MeetlatError as error:
            raise _failed(build, error) from None
        metadata = {"sources": len(every), "accepted": accepted, "refused": len(build.refused)}
        return dg.MaterializeResult(asset_key=DELIVERIES, metadata=metadata)

    return every


def table_asset(model: Model, models: Mapping[str, Model]) -> dg.AssetsDefinition:
    """Makes the parts of one table, and the steps on the way to it. Behind a failed check nothing is made."""
    key = table_key(model.name)
    deps = _deps(model, models)
    checks = [("grain", f"one row per {', '.join(model.grain)}", True)]
    checks += [(c.name, c.text, not c.warns) for c in model.checks]

    @dg.asset(
        key=key,
        deps=sorted(deps),
        group_name=model.layer,
        kinds={"duckdb", "sql", "parquet"},
        owners=OWNERS,
        description=model.text,
        code_version=digest(model.canonical)[:16],
        metadata={
            "dagster/column_schema": dg.TableSchema(
                columns=[dg.TableColumn(c.name, c.type, description=c.text) for c in model.columns]
            ),
            "dagster/table_name": f"{WAREHOUSE}.{model.name}",
            "grain": ", ".join(model.grain),
            "file": f"sql/{model.layer}/{model.path.name}",
        },
        check_specs=[dg.AssetCheckSpec(n, asset=key, description=text, blocking=b) for n, text, b in checks],
        required_resource_keys={"build"},
    )
    def make(context: dg.AssetExecutionContext) -> Iterator[Any]:
        build = context.resources.build
        try:
            parts = build.parts(model.name)
        except CheckFailed as failed:
            if failed.table == model.name:
                yield from _check_results(key, [failed.results])
            raise _failed(build, failed) from None
        except MeetlatError as error:
            raise _failed(build, error) from None
        metadata = {"dagster/row_count": sum(p.facts["rows"] for p in parts), "parts": len(parts)}
        if model.layer == "mart":
            metadata["preview"] = dg.MetadataValue.md(_preview(build.settings, parts[0].file(), model))
        yield dg.MaterializeResult(asset_key=key, metadata=metadata)
        yield from _check_results(key, [p.facts["checks"] for p in parts])

    return make


def _deps(model: Model, models: Mapping[str, Model]) -> set[dg.AssetKey]:
    """The assets that a table is made of. A step on the way is none: it passes on what it reads."""
    deps: set[dg.AssetKey] = set()
    for upstream in model.upstreams:
        if upstream.startswith("staged."):
            deps.add(DELIVERIES)
        elif upstream in models:
            above = models[upstream]
            deps |= _deps(above, models) if above.working else {table_key(upstream)}
    return deps


def release_asset(tables: list[Model]) -> dg.AssetsDefinition:
    """Publishes. The only asset that changes what readers see."""

    @dg.asset(
        key=RELEASE,
        deps=[table_key(m.name) for m in tables],
        group_name="release",
        kinds={"duckdb", "parquet"},
        owners=OWNERS,
        description="The published release: DuckDB files, Parquet and metadata, swapped in as one.",
        check_specs=[
            dg.AssetCheckSpec(
                "gate", asset=RELEASE, description="no source lost more answers than it may", blocking=True
            ),
            dg.AssetCheckSpec(
                "audit",
                asset=RELEASE,
                description="nothing that is hidden in public/ and participants/ can be reckoned from what is shown",
                blocking=True,
            ),
        ],
        required_resource_keys={"build"},
    )
    def publish(context: dg.AssetExecutionContext) -> Iterator[Any]:
        from pipelines import release

        build = context.resources.build
        try:
            build.published = release.publish(build)
        except MeetlatError as error:
            check = "audit" if isinstance(error, release.AuditFailed) else "gate"
            yield dg.AssetCheckResult(passed=False, check_name=check, asset_key=RELEASE, description=str(error))
            raise _failed(build, error) from None
        yield dg.MaterializeResult(
            asset_key=RELEASE,
            metadata={
                "release": build.published.id,
                "folder": dg.MetadataValue.path(str(build.published.folder)),
                "refused_deliveries": len(build.refused),
            },
        )
        for check in ("gate", "audit"):
            yield dg.AssetCheckResult(passed=True, check_name=check, asset_key=RELEASE)

    return publish


def _failed(build: Any, error: MeetlatError) -> dg.Failure:
    build.failure = error
    return dg.Failure(description=str(error), allow_retries=False)


def _check_results(key: dg.AssetKey, of_parts: list[list[dict[str, Any]]]) -> Iterator[dg.AssetCheckResult]:
    """One result a check over all parts of a table."""
    for results in zip(*of_parts, strict=True):
        failed = [r["found"] for r in results if not r["passed"]]
        yield dg.AssetCheckResult(
            passed=not failed,
            check_name=results[0]["name"],
            asset_key=key,
            severity=dg.AssetCheckSeverity.WARN if results[0]["warns"] else dg.AssetCheckSeverity.ERROR,
            description="; ".join(failed) or results[0]["text"],
        )


def _preview(settings: Any, file: Any, model: Model) -> str:
    """The first rows of a mart as Markdown. Marts hold estimates of groups, never of persons."""
    from pipelines import engine

    wanted = (
        "period_code",
        "sector_code",
        "channel_code",
        "measure_code",
        "value",
        "n_answers",
        "ci_low",
        "ci_high",
    )
    shown = [c.name for c in model.columns if c.name in wanted]
    with engine.borrowed(settings, file.parent.parent.parent / ".aside") as con:
        where = "WHERE period_type = 'year'" if any(c.name == "period_type" for c in model.columns) else ""
        rows = con.execute(
            f"SELECT {', '.join(shown)} FROM read_parquet($1) {where} ORDER BY ALL LIMIT 12", [str(file)]
        ).fetchall()
    lines = [f"| {' | '.join(shown)} |", f"|{'---|' * len(shown)}"]
    lines += ["| " + " | ".join(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row) + " |" for row in rows]
    return "\n".join(lines)
