"""`dcat.jsonld`: what a catalogue of datasets asks for, the core of DCAT-AP 3.

https://semiceu.github.io/DCAT-AP/releases/3.0.0/. Not verified against the Dutch profile, DCAT-AP-NL, whose list of
mandatory fields was not at hand; the document says so.
"""

from pathlib import Path

from pipelines.dataset.carried import Dataset
from pipelines.parts import JSON

CONTEXT: JSON = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "spdx": "http://spdx.org/rdf/terms#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
AUTHORITY = "http://publications.europa.eu/resource/authority"
MEDIA = "https://www.iana.org/assignments/media-types"
FORMATS = {  # title, media type, code in the European list of file types if it has one
    ".parquet": ("Parquet", "application/vnd.apache.parquet", "PARQUET"),
    ".csv": ("CSV", "text/csv", "CSV"),
    ".xlsx": ("Excel", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "XLSX"),
    ".duckdb": ("DuckDB", "application/octet-stream", None),
}
UNVERIFIED = "Follows the core of DCAT-AP 3. Not verified against the Dutch profile, DCAT-AP-NL."


def document(dataset: Dataset) -> JSON:
    declared, release = dataset.declared, dataset.release
    en, nl = dataset.title
    made: JSON = {
        "@context": CONTEXT,
        "@id": dataset.page or "./",
        "@type": "dcat:Dataset",
        "rdfs:comment": _in("en", UNVERIFIED),
        "dct:identifier": f"{declared.name}/{dataset.kind}",
        "dct:title": [_in("en", en), _in("nl", nl)],
        "dct:description": [_in("en", dataset.description[0]), _in("nl", dataset.description[1])],
        "dcat:version": release.version,
        "dcat:keyword": [{"@value": word} for word in declared.keywords],
        "dcat:theme": [_link(f"{AUTHORITY}/data-theme/{theme}") for theme in declared.themes],
        "dct:language": [_link(f"{AUTHORITY}/language/{code}") for code in ("ENG", "NLD")],
        "dct:accrualPeriodicity": _link(f"{AUTHORITY}/frequency/{declared.frequency}"),
        "dct:accessRights": _link(f"{AUTHORITY}/access-right/{'PUBLIC' if dataset.kind == 'public' else 'NON_PUBLIC'}"),
        "dct:temporal": {
            "@type": "dct:PeriodOfTime",
            **({"dcat:startDate": _day(dataset.first_day)} if dataset.first_day else {}),
            "dcat:endDate": _day(release.data_through),
        },
    }
    if release.countries:
        made["dct:spatial"] = [{"@type": "dct:Location", "dct:identifier": each} for each in release.countries]
    if declared.publisher:
        made["dct:publisher"] = {"@type": "foaf:Agent", "foaf:name": declared.publisher.name}
        if declared.publisher.url:
            made["dct:publisher"]["foaf:homepage"] = _link(declared.publisher.url)
    if declared.contact:
        made["dcat:contactPoint"] = {"@type": "vcard:Organization", "vcard:fn": declared.contact.name}
        if declared.contact.email:
            made["dcat:contactPoint"]["vcard:hasEmail"] = _link(f"mailto:{declared.contact.email}")
        if declared.contact.url:
            made["dcat:contactPoint"]["vcard:hasURL"] = _link(declared.contact.url)
    if dataset.page:
        made["dcat:landingPage"] = _link(dataset.page)
    made["dcat:distribution"] = [_distribution(dataset, file, about) for file, about in _files(dataset)]
    return made


def _files(dataset: Dataset) -> list[tuple[Path, str]]:
    tables = [t for t in dataset.tables.values() if t.parquet]
    found = [(dataset.database, "every table"), (dataset.workbook, "the long tables")]
    found += [(t.parquet, t.short) for t in tables if t.parquet]
    return found + [(dataset.csv_of(t), t.short) for t in tables if t.for_people]


def _distribution(dataset: Dataset, file: Path, about: str) -> JSON:
    title, media, listed = FORMATS[file.suffix]
    address = dataset.relative(file) if not dataset.page else f"{dataset.page.rstrip('/')}/{dataset.relative(file)}"
    made: JSON = {
        "@type": "dcat:Distribution",
        "dct:title": _in("en", f"{about}, {title}"),
        "dcat:accessURL": _link(address),
        "dcat:downloadURL": _link(address),
        "dcat:mediaType": _link(f"{MEDIA}/{media}"),
    }
    if listed:
        made["dct:format"] = _link(f"{AUTHORITY}/file-type/{listed}")
    if dataset.licence:
        made["dct:license"] = (
            _link(dataset.licence.url)
            if dataset.licence.url
            else {"@type": "dct:LicenseDocument", "dct:title": dataset.licence.title}
        )
    if file in dataset.sums:  # of the DuckDB file the same rows are not the same bytes each time
        made["dcat:byteSize"] = {"@value": str(file.stat().st_size), "@type": "xsd:nonNegativeInteger"}
        made["spdx:checksum"] = {
            "@type": "spdx:Checksum",
            "spdx:algorithm": _link("spdx:checksumAlgorithm_sha256"),
            "spdx:checksumValue": {"@value": dataset.sums[file], "@type": "xsd:hexBinary"},
        }
    return made


def _in(language: str, text: str) -> JSON:
    return {"@value": text, "@language": language}


def _link(address: str) -> JSON:
    return {"@id": address}


def _day(day: object) -> JSON:
    return {"@value": str(day), "@type": "xsd:date"}
