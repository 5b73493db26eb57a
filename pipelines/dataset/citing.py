"""The short files: how to cite the dataset, what changed in it, and the sums of its files."""

import yaml

from pipelines.dataset.carried import Dataset, sha256

SUMS = "SHA256SUMS"
# beside the dataset of the house, and no part of it: for others, or about the making of the release
BESIDE = ("restricted", "participants", "public", "manifest.json", "publication.json")


def citation(dataset: Dataset) -> str:
    """How to cite it, in one line. Without a year, as no clock goes into a release."""
    names = ", ".join(creator.name for creator in dataset.declared.creators) or dataset.publisher
    by = "" if names == dataset.publisher else f" {dataset.publisher}."
    page = f" {dataset.page}" if dataset.page else ""
    return f"{names}: {dataset.title[0]}. Data set, version {dataset.release.version}.{by}{page}"


def cff(dataset: Dataset) -> str:
    """`CITATION.cff`, Citation File Format 1.2.0. https://citation-file-format.github.io/"""
    declared, licence = dataset.declared, dataset.licence
    authors = [
        {"name": party.name} | ({"website": party.url} if party.url else {})
        for party in declared.creators or ([declared.publisher] if declared.publisher else [])
    ]
    made = {
        "cff-version": "1.2.0",
        "message": "If you use these figures, please cite them as below.",
        "type": "dataset",
        "title": dataset.title[0],
        "abstract": dataset.description[0],
        "authors": authors or [{"name": dataset.publisher}],
        "version": dataset.release.version,
        "keywords": list(declared.keywords),
    }
    if licence and not licence.code.startswith("LicenseRef-"):  # the format takes codes of the SPDX list only
        made["license"] = licence.code
    if licence and licence.url:
        made["license-url"] = licence.url
    if declared.contact and declared.contact.email:
        made["contact"] = [{"name": declared.contact.name, "email": declared.contact.email}]
    if dataset.page:
        made["url"] = dataset.page
    return yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=100)


def changelog(dataset: Dataset, changes: str) -> str:
    """`CHANGELOG.md` of the dataset. `changes`, Markdown, is what `diff` found; empty: nothing was compared."""
    release = dataset.release
    monitors = "; ".join(f"{name} ({publisher})" if publisher else name for name, publisher in release.monitors)
    lines = [
        f"# Changes: {dataset.title[0]}",
        "",
        f"## {release.version}",
        "",
        f"Release `{release.id}`. Answers through {release.data_through}, from {release.deliveries:,} deliveries of "
        f"{monitors}. Made by Meetlat {release.meetlat_version}.",
        "",
        *([dataset.honesty[0], ""] if dataset.honesty[0] else []),
        "### Since the release before",
        "",
        changes.strip() or "There is no release before it to compare with.",
        "",
    ]
    return "\n".join(lines)


def write_sums(dataset: Dataset) -> None:
    """`SHA256SUMS`, for `sha256sum -c`: every file that is handed out with this folder."""
    files = [
        file
        for top in sorted(dataset.folder.iterdir())
        if top.name not in (*BESIDE, SUMS)
        for file in ([top] if top.is_file() else sorted(f for f in top.rglob("*") if f.is_file()))
    ]
    known = dataset.sums
    lines = [f"{known.get(file) or sha256(file)}  {dataset.relative(file)}\n" for file in files]
    (dataset.folder / SUMS).write_text("".join(lines), encoding="utf-8")
