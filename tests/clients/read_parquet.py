"""Read Parquet files with one library; prints of each its columns and rows, and the sum of `value`, as JSON."""

import json
import sys


def pandas(file):
    import pandas

    return pandas.read_parquet(file, engine="pyarrow")


def fastparquet(file):
    import fastparquet

    return fastparquet.ParquetFile(file).to_pandas()


def polars(file):
    import polars

    return polars.read_parquet(file)


def datafusion(file):
    import datafusion

    return datafusion.SessionContext().read_parquet(file).to_pandas()


read = {"pandas": pandas, "fastparquet": fastparquet, "polars": polars, "datafusion": datafusion}[sys.argv[1]]
found = {}
for file in sys.argv[2:]:
    frame = read(file)
    total = float(frame["value"].sum()) if "value" in frame.columns and len(frame) else 0.0
    found[file] = [list(frame.columns), len(frame), round(total, 3)]
print(json.dumps(found))
