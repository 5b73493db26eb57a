"""Puts into a folder what a dataset carries: the one module that a release calls."""

import json
from collections.abc import Mapping
from pathlib import Path

from pipelines.dataset import citing, codebook, croissant, datapackage, dcat, office
from pipelines.dataset.carried import Dataset, Release, Table
from pipelines.parts import JSON
from pipelines.plan import Build


def of(build: Build, kind: str, facts: Mapping[str, JSON], tables: Mapping[str, Table], folder: Path) -> Dataset:
    """The dataset in a folder. `facts` is the row of meta.release."""
    return Dataset(folder, kind, build.inputs.declared, _release(build, facts), tables)


def write_tables(dataset: Dataset) -> None:
    """CSV and the workbook. They need the Parquet files only, so that this can go on beside the DuckDB files."""
    office.write_csv(dataset)
    office.write_workbook(dataset)


def describe(dataset: Dataset, changes: str = "") -> None:
    """Everything else, when all files of data are there. `changes` is Markdown for the changelog."""
    texts = {
        "codebook.html": codebook.html(dataset),
        "codebook.md": codebook.markdown(dataset),
        "CITATION.cff": citing.cff(dataset),
        "CHANGELOG.md": citing.changelog(dataset, changes),
        "datapackage.json": _json(datapackage.document(dataset)),
        "croissant.json": _json(croissant.document(dataset, citing.citation(dataset))),
        "dcat.jsonld": _json(dcat.document(dataset)),
    }
    for name, text in texts.items():
        (dataset.folder / name).write_text(text, encoding="utf-8")
    citing.write_sums(dataset)


def _json(document: JSON) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _release(build: Build, facts: Mapping[str, JSON]) -> Release:
    read = [s for s in build.inputs.sources.values() if build.accepted(s)]
    kinds = {s.contract.provenance for s in read}
    monitors = {s.contract.monitor for s in read}
    return Release(
        id=facts["release_id"],
        data_through=facts["data_through"],
        answers=facts["answers"],
        deliveries=facts["deliveries"],
        meetlat_version=facts["meetlat_version"],
        synthetic="all" if kinds == {"synthetic"} else "some" if "synthetic" in kinds else "none",
        monitors=[
            (row["label_en"], row["publisher"])
            for row in build.inputs.lists["monitors"]
            if row["monitor_code"] in monitors
        ],
        countries=sorted({s.contract.country for s in read} - {"global"}),
    )
