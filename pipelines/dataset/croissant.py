"""`croissant.json`: Croissant 1.0, for programs that learn from tables.

https://docs.mlcommons.org/croissant/docs/croissant-spec.html. Files are named relative to the document, with their
SHA-256, so that a copy of the folder can be streamed from where it stands.
"""

from pipelines.dataset.carried import Dataset, Table
from pipelines.parts import JSON

# as the specification gives it; validators compare it word by word
CONTEXT: JSON = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
TYPES = {
    "VARCHAR": "sc:Text", "BIGINT": "sc:Integer", "INTEGER": "sc:Integer", "DOUBLE": "sc:Float",
    "BOOLEAN": "sc:Boolean", "DATE": "sc:Date", "TIMESTAMP": "sc:DateTime",
}  # fmt: skip


def document(dataset: Dataset, citation: str) -> JSON:
    """`citation` is how to cite it, in one line."""
    declared, licence = dataset.declared, dataset.licence
    made: JSON = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": declared.name if dataset.kind == "public" else f"{declared.name}-house",
        "alternateName": list(dataset.title),
        "description": dataset.description[0],
        "version": dataset.release.version,
        "inLanguage": ["en", "nl"],
        "keywords": list(declared.keywords),
        "publisher": {"@type": "sc:Organization", "name": dataset.publisher},
        "citeAs": citation,
    }
    if declared.publisher and declared.publisher.url:
        made["publisher"]["url"] = declared.publisher.url
    if licence:
        made["license"] = licence.url or licence.code
    if dataset.page:
        made["url"] = dataset.page
    tables = [t for t in dataset.tables.values() if t.parquet]
    made["distribution"] = [_file(dataset, t) for t in tables]
    made["recordSet"] = [_records(dataset, t) for t in tables]
    return made


def _file(dataset: Dataset, table: Table) -> JSON:
    assert table.parquet is not None
    return {
        "@type": "cr:FileObject",
        "@id": dataset.relative(table.parquet),
        "name": dataset.relative(table.parquet),
        "description": table.text,
        "contentUrl": dataset.relative(table.parquet),
        "encodingFormat": "application/x-parquet",  # what the specification writes; tools know no other
        "sha256": dataset.sums[table.parquet],
    }


def _records(dataset: Dataset, table: Table) -> JSON:
    assert table.parquet is not None
    fields = []
    for column in table.columns:
        field: JSON = {
            "@type": "cr:Field",
            "@id": f"{table.name}/{column.name}",
            "name": column.name,
            "description": column.text,
            "dataType": TYPES[column.type],
            "source": {"fileObject": {"@id": dataset.relative(table.parquet)}, "extract": {"column": column.name}},
        }
        if to := dataset.points_to(table, column.name):
            field["references"] = {"field": {"@id": "/".join(to)}}
        fields.append(field)
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": table.text,
        "key": [{"@id": f"{table.name}/{key}"} for key in table.grain],
        "field": fields,
    }
