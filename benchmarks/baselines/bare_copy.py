"""The customers' export as typed Parquet with pseudonyms, one row an answer, in one statement of DuckDB.

What a person who knows DuckDB would write. Of the ways to make rows of columns UNPIVOT was the fastest.
No contract, no check of the heading, no reasons for what is missing,
no quarantine, no receipt, no repeated responses, and what cannot be typed is NULL without a word.

    python -m benchmarks.baselines.bare_copy EXPORT.csv OUT.parquet [THREADS]
"""

import hashlib
import sys
from pathlib import Path

import duckdb

KEY = b"0f" * 32


def copy(export: Path, out: Path, threads: int | None = None, encoding: str = "utf-8") -> int:
    """Write `out`; gives the number of answers. `encoding` is utf-8 or latin-1, which is all that DuckDB reads."""
    con = duckdb.connect()
    if threads:
        con.execute(f"SET threads = {threads}")
    for kind in ("response", "respondent"):
        prefix = hashlib.sha256(KEY + f"|Meetlat sample data|klantcontact_customers|{kind}".encode()).hexdigest() + "|"
        con.execute(f"SET VARIABLE {kind} = '{prefix}'")
    (rows,) = con.execute(
        f"""
        COPY (WITH typed AS (
          SELECT
            left(sha256(getvariable('response') || "Responsnummer"), 32)    AS response_id,
            left(sha256(getvariable('respondent') || "Klantnummer"), 32)    AS respondent_id,
            "Organisatie"                                                   AS organisation_code,
            try_strptime("Contactdatum", '%d-%m-%Y')::DATE                  AS answered_on,
            "Kanaal"                                                        AS channel,
            try_cast(replace("Cijfer contact", ',', '.') AS DECIMAL(4, 1))  AS channel_rating,
            try_cast(trim("Aanbeveling (0-10)") AS DECIMAL(4, 1))           AS recommendation,
            try_cast(replace("Cijfer klachtafhandeling", ',', '.') AS DECIMAL(4, 1)) AS complaint_handling,
            "Geïnterviewd via"                                              AS mode
          FROM read_csv('{export}', delim = ';', quote = '"', header = true, all_varchar = true,
                        auto_detect = false, encoding = '{encoding}', columns = {{
            'Responsnummer': 'VARCHAR', 'Klantnummer': 'VARCHAR', 'Organisatie': 'VARCHAR', 'Contactdatum': 'VARCHAR',
            'Kanaal': 'VARCHAR', 'Cijfer contact': 'VARCHAR', 'Aanbeveling (0-10)': 'VARCHAR',
            'Cijfer klachtafhandeling': 'VARCHAR', 'Geïnterviewd via': 'VARCHAR', 'Status': 'VARCHAR',
            'Naam': 'VARCHAR', 'E-mailadres': 'VARCHAR', 'Postcode': 'VARCHAR', 'Toelichting': 'VARCHAR'}})
          WHERE "Status" = 'compleet'
        )
        FROM typed UNPIVOT (value FOR measure IN (channel_rating, recommendation, complaint_handling))
        ) TO '{out}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)
        """
    ).fetchall()
    return int(rows[0])


if __name__ == "__main__":
    print(copy(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None))
