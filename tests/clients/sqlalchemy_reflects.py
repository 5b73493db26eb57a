"""Reflect a file with SQLAlchemy and duckdb-sqlalchemy, as BI tools in Python do."""

import json
import sys

import duckdb
import sqlalchemy

engine = sqlalchemy.create_engine(f"duckdb:///{sys.argv[1]}", connect_args={"read_only": True})
look = sqlalchemy.inspect(engine)
schema = next(s for s in look.get_schema_names() if s.split(".")[-1] == "mart")
with engine.connect() as con:
    phone = con.execute(sqlalchemy.text(sys.argv[2])).scalar()
    try:
        con.execute(sqlalchemy.text("CREATE TABLE mine (i INTEGER)"))
        refused = False
    except Exception:
        refused = True
print(
    json.dumps(
        {
            "engine": duckdb.__version__,
            "tables": look.get_table_names(schema=schema),
            "views": look.get_view_names(schema=schema),
            "columns": [
                [c["name"], str(c["type"]), c.get("comment")] for c in look.get_columns("channel_rating", schema=schema)
            ],
            "comment": look.get_table_comment("channel_rating", schema=schema)["text"],
            "phone": phone,
            "refused": refused,
        }
    )
)
