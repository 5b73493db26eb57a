"""Do in Apache Superset what a person does: a read-only database, its tables, a data set and a chart.

Runs in the environment of Superset. Arguments: the DuckDB file, and a folder for Superset's own database.
"""

import json
import os
import sys
from pathlib import Path

file, home = Path(sys.argv[1]), Path(sys.argv[2])
(home / "superset_config.py").write_text(
    f"""
SECRET_KEY = "of a test that keeps nothing"
SQLALCHEMY_DATABASE_URI = "sqlite:///{home}/superset.db"
WTF_CSRF_ENABLED = False
TALISMAN_ENABLED = False
PREVENT_UNSAFE_DB_CONNECTIONS = False
"""
)
os.environ |= {"SUPERSET_CONFIG_PATH": str(home / "superset_config.py"), "SUPERSET_HOME": str(home)}

from flask_migrate import upgrade  # noqa: E402
from superset.app import create_app  # noqa: E402

app = create_app()
with app.app_context():
    import superset.migrations
    from superset.extensions import appbuilder, security_manager

    upgrade(directory=str(Path(superset.migrations.__file__).parent))
    appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()
    admin = security_manager.find_role("Admin")
    security_manager.add_user("admin", "A", "Person", "admin@example.org", admin, password="of a test")

client = app.test_client()


def ask(method, path, **sent):
    answer = client.open(path, method=method, headers=headers, **({"json": sent} if sent else {}))
    assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.get_data(as_text=True)[:800]}"
    return answer.get_json()


headers = {}
token = ask("POST", "/api/v1/security/login", username="admin", password="of a test", provider="db")
headers = {"Authorization": f"Bearer {token['access_token']}"}
database = ask(
    "POST",
    "/api/v1/database/",
    database_name="Meetlat",
    sqlalchemy_uri=f"duckdb:///{file}",
    expose_in_sqllab=True,
    extra=json.dumps({"engine_params": {"connect_args": {"read_only": True}}}),
)["id"]
schemas = ask("GET", f"/api/v1/database/{database}/schemas/")["result"]
schema = next(s for s in schemas if s.replace('"', "").split(".")[-1] == "mart")
listed = ask("GET", f"/api/v1/database/{database}/tables/?q=(schema_name:'{schema}')")["result"]
about = ask("GET", f"/api/v1/database/{database}/table_metadata/?name=channel_rating&schema={schema}")
made = ask("POST", "/api/v1/dataset/", database=database, schema=schema, table_name="channel_rating")["id"]
dataset = ask("GET", f"/api/v1/dataset/{made}")["result"]
equal = [("monitor_code", "klantcontact_monitor"), ("period_code", "2011"), ("sector_code", "all")]
chart = ask(
    "POST",
    "/api/v1/chart/data",
    datasource={"id": made, "type": "table"},
    result_format="json",
    result_type="full",
    force=True,
    queries=[
        {
            "columns": ["channel_code"],
            "metrics": [
                {
                    "expressionType": "SIMPLE",
                    "aggregate": "AVG",
                    "column": {"column_name": "value"},
                    "label": "grade",
                }
            ],
            "filters": [{"col": column, "op": "==", "val": value} for column, value in equal],
            "orderby": [["channel_code", True]],
            "row_limit": 100,
        }
    ],
)["result"][0]
print(
    json.dumps(
        {
            "tables": {each["value"]: each["type"] for each in listed},
            "comments": {c["name"]: c.get("comment") for c in about["columns"]},
            "dates": [c["column_name"] for c in dataset["columns"] if c["is_dttm"]],
            "columns": {c["column_name"]: c["type"] for c in dataset["columns"]},
            "chart": {row["channel_code"]: row["grade"] for row in chart["data"]},
        },
        default=str,
    )
)
