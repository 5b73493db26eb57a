"""What a dataset carries beside its data, for the house and for everybody, by the same code.

CSV and a workbook for those without any tool; `datapackage.json`, `croissant.json` and `dcat.jsonld` for programs;
codebook, citation, changelog and sums for people. All of it is made from the descriptions of tables and columns that
stand in the DuckDB file too, and from `reference/dataset.yml`. Nothing here decides what may be shown.
"""
