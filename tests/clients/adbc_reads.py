"""Read a file through ADBC with the shared library inside the duckdb wheel that is on the path."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import adbc_driver_manager.dbapi

package = Path(find_spec("duckdb").origin).parent
libraries = [*package.glob("_duckdb*.so"), *package.parent.glob("_duckdb*.so"), *package.glob("duckdb*.so")]
settings = {"path": sys.argv[1], "access_mode": "read_only"}
with (
    adbc_driver_manager.dbapi.connect(
        driver=str(libraries[0]), entrypoint="duckdb_adbc_init", db_kwargs=settings, autocommit=True
    ) as con,
    con.cursor() as cursor,
):
    cursor.execute("SELECT * FROM mart.channel_rating")
    table = cursor.fetch_arrow_table()
    cursor.execute("SELECT version()")
    ((version,),) = cursor.fetchall()
    objects = con.adbc_get_objects(depth="tables").read_all().to_pylist()
    try:
        cursor.execute("CREATE TABLE mine (i INTEGER)")
        refused = False
    except Exception:
        refused = True
tables = [
    f"{schema['db_schema_name']}.{each['table_name']}"
    for catalog in objects
    for schema in catalog["catalog_db_schemas"] or []
    for each in schema["db_schema_tables"] or []
]
print(
    json.dumps(
        {"engine": version, "rows": table.num_rows, "columns": table.column_names, "tables": tables, "refused": refused}
    )
)
