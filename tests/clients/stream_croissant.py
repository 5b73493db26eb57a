"""Validate a Croissant document and stream its records; prints what mlcroissant says of it as JSON."""

import json
import sys

import mlcroissant

dataset = mlcroissant.Dataset(sys.argv[1])
issues = dataset.metadata.ctx.issues
print(
    json.dumps(
        {
            "errors": sorted(issues.errors),
            "warnings": sorted(issues.warnings),
            "records": {name: sum(1 for _ in dataset.records(name)) for name in sys.argv[2:]},
            "sets": [each.id for each in dataset.metadata.record_sets],
        }
    )
)
