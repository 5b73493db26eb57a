"""`datapackage.json`: Data Package 2.0, for programs that read tables.

https://datapackage.org/standard/data-package/. Two resources a table where there are two files, with one schema.
Keys are said and not enforced; nobody checks them but our own tests.
"""

from pathlib import Path

from pipelines.dataset.carried import Dataset, Table
from pipelines.models import Column
from pipelines.parts import JSON

PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
TYPES = {
    "VARCHAR": "string", "BIGINT": "integer", "INTEGER": "integer", "DOUBLE": "number", "BOOLEAN": "boolean",
    "DATE": "date", "TIMESTAMP": "datetime",
}  # fmt: skip


def document(dataset: Dataset) -> JSON:
    declared, licence = dataset.declared, dataset.licence
    people = [(declared.publisher, "publisher"), (declared.contact, "contact")]
    people += [(creator, "creator") for creator in declared.creators]
    contributors = [
        {"title": party.name, "roles": [role]}
        | ({"email": party.email} if party.email else {})
        | ({"path": party.url} if party.url else {})
        for party, role in people
        if party
    ]
    made: JSON = {
        "$schema": PROFILE,
        "name": declared.name if dataset.kind == "public" else f"{declared.name}-house",
        "id": f"{declared.name}/{dataset.kind}/{dataset.release.id}",
        "title": dataset.title[0],
        "description": dataset.description[0],
        "version": dataset.release.version,
        "keywords": list(declared.keywords),
        "sources": [
            {"title": f"{name} ({publisher})" if publisher else name} for name, publisher in dataset.release.monitors
        ],
    }
    if dataset.page:
        made["homepage"] = dataset.page
    if contributors:
        made["contributors"] = contributors
    if licence:
        made["licenses"] = [{"name": licence.code, "title": licence.title}]
        if licence.url:
            made["licenses"][0]["path"] = licence.url
    made["resources"] = [
        resource for table in dataset.tables.values() if table.parquet for resource in _resources(dataset, table)
    ] + [
        _file(dataset, dataset.workbook, "The long tables, the codes and their meaning for Excel.")
        | {"name": "workbook", "format": "xlsx", "mediatype": MEDIA["xlsx"], "bytes": dataset.workbook.stat().st_size},
        # without a hash: the same rows are not the same bytes each time; SHA256SUMS has that of this file
        {
            "name": "database",
            "path": dataset.relative(dataset.database),
            "description": "Every table with its comments, for DuckDB 1.0 and later.",
            "format": "duckdb",
            "mediatype": MEDIA["duckdb"],
        },
    ]
    return made


MEDIA = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "duckdb": "application/vnd.duckdb",
}


def _resources(dataset: Dataset, table: Table) -> list[JSON]:
    assert table.parquet is not None
    parquet = _file(dataset, table.parquet, table.text) | {
        "name": table.name,
        "format": "parquet",
        "mediatype": MEDIA["parquet"],
        "schema": _schema(dataset, table, ""),
    }
    if not table.for_people:
        return [parquet]
    file = dataset.csv_of(table)
    csv = _file(dataset, file, f"{table.text} As CSV.") | {
        "name": f"{table.name}.csv",
        "format": "csv",
        "mediatype": MEDIA["csv"],
        "encoding": "utf-8",
        "bytes": file.stat().st_size,
        "schema": _schema(dataset, table, ".csv") | {"missingValues": [""]},
    }
    return [parquet, csv]


def _schema(dataset: Dataset, table: Table, kind: str) -> dict[str, JSON]:
    """Fields and keys; what a key points to is a file of the same kind."""
    schema: dict[str, JSON] = {
        "fields": [_field(dataset, table, column) for column in table.columns],
        "primaryKey": list(table.grain),
    }
    if keys := [(c.name, to) for c in table.columns if (to := dataset.points_to(table, c.name))]:
        schema["foreignKeys"] = [
            {"fields": [name], "reference": {"resource": f"{target}{kind}", "fields": [key]}}
            for name, (target, key) in keys
        ]
    return schema


def _file(dataset: Dataset, file: Path, text: str) -> dict[str, JSON]:
    return {"path": dataset.relative(file), "description": text, "hash": f"sha256:{dataset.sums[file]}"}


def _field(dataset: Dataset, table: Table, column: Column) -> dict[str, JSON]:
    made: dict[str, JSON] = {"name": column.name, "type": TYPES[column.type], "description": column.text}
    to = dataset.points_to(table, column.name)
    codes = dataset.codes.get(to[0]) if to else None
    if codes:
        made["categories"] = [{"value": code.code, "label": code.en} for code in codes]
    return made
