"""Read every table of DuckDB files with whatever engine is on the path; prints what was found as JSON."""

import json
import sys

import duckdb

found = {"engine": duckdb.__version__}
for file in sys.argv[1:]:
    with duckdb.connect(file, read_only=True) as con:
        comments = con.execute(
            "SELECT schema_name || '.' || table_name, column_name, data_type, comment FROM duckdb_columns() "
            "WHERE NOT internal ORDER BY ALL"
        ).fetchall()
        tables = {}
        for table in sorted({table for table, *_ in comments}):
            rows = con.execute(f"SELECT count(*), count(COLUMNS(*)) FROM {table}").fetchall()
            first = con.execute(f"SELECT * FROM {table} ORDER BY ALL LIMIT 3").fetchall()
            tables[table] = [rows, first]
    found[file] = {"columns": comments, "tables": tables}
print(json.dumps(found, default=str))
