"""A folder that is handed out, as its descriptions see it: tables, codes with labels, and what is declared.

The files beside the data are all made from this, so that none of them says anything that another does not.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow.parquet

from pipelines.dataset.declared import Declared, Licence
from pipelines.models import Column
from pipelines.parts import JSON

# columns named like a key of a dimension that hold more than its codes
NO_KEY = {("mart.sector_comparison", "compare_to_sector_code")}  # `rest`: all other sectors

# what must stand wherever the figures do, in English and in Dutch
SYNTHETIC = {
    "all": (
        "All exports behind it are synthetic: calibrated to published figures, they describe nobody.",
        "Alle exports erachter zijn synthetisch: afgestemd op gepubliceerde cijfers, beschrijven ze niemand.",
    ),
    "some": (
        "Some of the exports behind it are synthetic and describe nobody: see the column provenance.",
        "Een deel van de exports erachter is synthetisch en beschrijft niemand: zie de kolom provenance.",
    ),
    "none": ("", ""),
}
# what is not in a folder, by its kind
HELD = {
    "public": (
        "Figures are rounded, and those that would tell of few people or of one organisation are hidden.",
        "Cijfers zijn afgerond, en wat iets zou zeggen over weinig mensen of over één organisatie is weggelaten.",
    ),
    "house": (
        "Figures of few employees are hidden; all others are exact: not for outside the house.",
        "Cijfers over weinig medewerkers zijn weggelaten; alle andere zijn exact: niet voor buiten het huis.",
    ),
}


@dataclass(frozen=True)
class Table:
    """A table or view with its Parquet file; a view stands in the DuckDB file only."""

    name: str  # schema.table
    text: str
    grain: Sequence[str]
    columns: Sequence[Column]
    parquet: Path | None
    view_of: str = ""  # the table that a view adds labels to

    @property
    def short(self) -> str:
        return self.name.split(".")[1]

    @property
    def for_people(self) -> bool:
        """Whether it is worth a CSV file: what only programs ask is not."""
        return self.parquet is not None and self.name.split(".")[0] in ("mart", "core")


@dataclass(frozen=True)
class Code:
    """A code of a dimension with its labels; `more` is what else the dimension says of it."""

    code: str
    en: str
    nl: str
    more: dict[str, JSON]


@dataclass(frozen=True)
class Release:
    """What the release says of itself. No clock."""

    id: str
    data_through: dt.date
    answers: int
    deliveries: int
    meetlat_version: str
    synthetic: str  # a key of SYNTHETIC
    monitors: Sequence[tuple[str, str]]  # name and publisher, of those that it stands on
    countries: Sequence[str]

    @property
    def version(self) -> str:
        return version_of(self.data_through, self.id)


@dataclass(frozen=True)
class Dataset:
    """One folder. `kind` is `house` for the release itself and `public` for what everybody may have."""

    folder: Path
    kind: str
    declared: Declared
    release: Release
    tables: Mapping[str, Table]

    @property
    def licence(self) -> Licence | None:
        return self.declared.licence if self.kind == "public" else self.declared.house_licence

    @property
    def title(self) -> tuple[str, str]:
        """In English and in Dutch."""
        title = self.declared.title
        return (
            (title.en, title.nl) if self.kind == "public" else (f"{title.en}: house edition", f"{title.nl}: huiseditie")
        )

    @property
    def description(self) -> tuple[str, str]:
        """In English and in Dutch."""
        declared = (self.declared.description.en, self.declared.description.nl)
        through = tuple(
            f"{words} {self.release.data_through}." for words in ("Answers through", "Antwoorden tot en met")
        )
        parts = zip(declared, HELD[self.kind], through, self.honesty, strict=True)
        en, nl = (" ".join(sentence for sentence in each if sentence) for each in parts)
        return en, nl

    @property
    def honesty(self) -> tuple[str, str]:
        """Whether it is about anybody, in English and in Dutch; empty if all of it is."""
        return SYNTHETIC[self.release.synthetic]

    @property
    def page(self) -> str | None:
        """Where it can be found by everybody; what is in the house is nowhere."""
        return self.declared.page if self.kind == "public" else None

    @property
    def publisher(self) -> str:
        return self.declared.publisher.name if self.declared.publisher else "Publisher not declared"

    @cached_property
    def first_day(self) -> dt.date | None:
        """First day of the earliest period of the long table."""
        file = self.tables["mart.measure_score"].parquet
        assert file is not None
        days = [d for d in pyarrow.parquet.ParquetFile(file).read(["period_start"]).column(0).to_pylist() if d]
        return min(days, default=None)

    @cached_property
    def codes(self) -> dict[str, list[Code]]:
        """Dimension → its codes with labels, in their own order."""
        found = {}
        for table in self.tables.values():
            names = {c.name for c in table.columns}
            if (
                table.parquet is None
                or table.name not in self.targets.values()
                or not {"label_en", "label_nl"} <= names
            ):
                continue
            key, rows = table.grain[0], pyarrow.parquet.ParquetFile(table.parquet).read().to_pylist()
            rows.sort(key=lambda row: (row.get("sort_order") or 0, row[key]))
            hidden = {key, "label_en", "label_nl", "sort_order"}
            found[table.name] = [
                Code(row[key], row["label_en"], row["label_nl"], {k: v for k, v in row.items() if k not in hidden})
                for row in rows
            ]
        return found

    @cached_property
    def targets(self) -> dict[str, str]:
        """Key → the dimension of which it is the only key."""
        core = [t for t in self.tables.values() if t.name.startswith("core.") and len(t.grain) == 1 and not t.view_of]
        return {t.grain[0]: t.name for t in core}

    def points_to(self, table: Table, column: str) -> tuple[str, str] | None:
        """Dimension and key that a column of codes refers to, by its name: `sector_code`, `compare_to_sector_code`."""
        for key, target in self.targets.items():
            named = column == key or column.endswith(f"_{key}")
            if named and target != table.name and (table.name, column) not in NO_KEY:
                return target, key
        return None

    def csv_of(self, table: Table) -> Path:
        assert table.parquet is not None
        return self.folder / "csv" / f"{table.parquet.stem}.csv"

    @property
    def workbook(self) -> Path:
        return self.folder / "benchmark.xlsx"

    @property
    def database(self) -> Path:
        return self.folder / "benchmark.duckdb"

    def relative(self, file: Path) -> str:
        return file.relative_to(self.folder).as_posix()

    @cached_property
    def sums(self) -> dict[Path, str]:
        """File of data → its SHA-256, all but the DuckDB file: of that only the rows are the same each time."""
        files = [t.parquet for t in self.tables.values() if t.parquet is not None]
        files += [self.csv_of(t) for t in self.tables.values() if t.for_people]
        return {file: sha256(file) for file in [*files, self.workbook]}


def version_of(day: dt.date, id: str) -> str:
    """The last day of the answers as a semantic version, and the release as its build."""
    return f"{day.year}.{day.month}.{day.day}+{id}"


def sha256(file: Path) -> str:
    with file.open("rb") as bytes:
        return hashlib.file_digest(bytes, "sha256").hexdigest()
