"""The docs against the code: what they must name, what they say works, and where their links go."""

import re
import shutil
from pathlib import Path
from typing import Any, get_args

import pytest
import typer.main
from conftest import PROJECT
from pydantic import BaseModel

from pipelines import contracts, models, plan, reference, report
from pipelines.cli import app

DOCS = sorted((PROJECT / "docs").glob("*.md"))
PAGES = [PROJECT / "README.md", *DOCS]
CONTRACTS = PROJECT / "docs" / "contracts.md"
MODELS = PROJECT / "docs" / "models.md"


def text(*pages: Path) -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def fenced(page: Path, info: str) -> list[str]:
    """The fenced blocks of a page that are marked with exactly this."""
    return re.findall(rf"^```{info}\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL)


def code() -> str:
    return text(*sorted((PROJECT / "pipelines").rglob("*.py")))


def test_every_command_is_named() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert commands
    missing = [name for name in commands if f"meetlat {name}" not in text(*PAGES)]
    assert not missing


def test_every_option_is_named() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    options = {o for c in commands.values() for p in c.params for o in p.opts if o.startswith("--")}
    assert {"--explain", "--full"} <= options
    assert not [o for o in sorted(options - {"--help"}) if o not in text(*PAGES)]


def test_every_variable_is_named() -> None:
    variables = set(re.findall(r"MEETLAT_[A-Z]+", code()))
    assert "MEETLAT_RAW" in variables
    assert not variables - set(re.findall(r"MEETLAT_[A-Z]+", text(*DOCS)))


def test_no_unknown_command_or_variable_is_named() -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"[`/ ]meetlat ([a-z]+)\b(?=[^\n]*`)", text(*DOCS))) <= commands
    assert set(re.findall(r"MEETLAT_[A-Z]+", text(*PAGES))) <= set(re.findall(r"MEETLAT_[A-Z]+", code()))


# --- contracts -----------------------------------------------------------------------------------


def load(block: str, folder: Path) -> contracts.Contract:
    (folder / "contract.yml").write_text(block, encoding="utf-8")
    return contracts.load(folder)


def fields_of(annotation: Any) -> set[str]:
    """The names of the keys that a contract may hold, at any depth."""
    found: set[str] = set()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            found |= {field.alias or name} | fields_of(field.annotation)
    for inner in get_args(annotation):
        found |= fields_of(inner)
    return found


def roles() -> set[str]:
    union, _ = get_args(contracts.Column)
    return {role for kind in get_args(union) for role in get_args(kind.model_fields["role"].annotation)}


def test_every_key_of_a_contract_is_explained() -> None:
    keys = fields_of(contracts.Contract)
    assert {"sampling_unit", "encoding", "dont_know", "max_drop", "label_nl"} <= keys
    assert not [key for key in sorted(keys) if f"`{key}`" not in text(CONTRACTS) and f"`{key}:" not in text(CONTRACTS)]


def test_every_role_is_explained() -> None:
    assert "question" in roles()
    assert not [role for role in sorted(roles()) if f"\n| `{role}` |" not in text(CONTRACTS)]


def test_every_reason_is_explained() -> None:
    assert not [reason for reason in report.REMEDIES if f"\n| `{reason}` |" not in text(CONTRACTS)]
    written = set(re.findall(r"'(blank|dont_know|not_asked|refused|quarantined)'", code()))
    assert len(written) == 5
    assert not [reason for reason in written if f"\n| `{reason}` |" not in text(CONTRACTS)]


@pytest.mark.parametrize("block", fenced(CONTRACTS, "yaml contract"))
def test_every_contract_in_the_docs_is_in_order(block: str, tmp_path: Path) -> None:
    agreed = {"example": load(block, tmp_path)}
    assert not reference.faults(reference.load(PROJECT / "raw", agreed), agreed)


def test_the_contract_that_is_explained_is_the_shipped_one(tmp_path: Path) -> None:
    shipped = contracts.load(PROJECT / "raw" / "klantcontact_customers")
    assert load(fenced(CONTRACTS, "yaml contract")[0], tmp_path) == shipped


# --- models --------------------------------------------------------------------------------------


def test_every_tag_is_explained() -> None:
    tags = set(re.findall(r'(?:tag|line) == "(@[a-z ]+)"', (PROJECT / "pipelines" / "models.py").read_text()))
    assert {"@grain", "@columns", "@per delivery"} <= tags
    assert not [tag for tag in sorted(tags) if f"\n| `{tag}" not in text(MODELS)]
    assert not [kind for kind in models.WORKING_TYPES if f"`{kind}`" not in text(MODELS)]


def test_the_example_model_fits_the_others(tmp_path: Path) -> None:
    """What `meetlat check` does, with the example added."""
    (example,) = fenced(MODELS, "sql model")
    (name,) = re.findall(r"Save this as `sql/([a-z_/]+\.sql)`", text(MODELS))
    shutil.copytree(PROJECT / "sql", tmp_path / "sql")
    path = tmp_path / "sql" / name
    assert not path.exists()
    path.write_text(example, encoding="utf-8")
    tables = models.load(tmp_path / "sql")
    made = tables[name.removesuffix(".sql").replace("/", ".")]
    assert made.checks and made.upstreams == ["core.dim_sector", "estimate.domain"]
    models.bind(tables, plan.bare_tables())


# --- pages ---------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def test_the_way_of_a_delivery_is_six_files_at_most() -> None:
    (section,) = re.findall(
        r"## One delivery through the code\n(.*?)\n## ", text(PROJECT / "docs" / "how-it-works.md"), re.DOTALL
    )
    assert 1 <= len(re.findall(r"^\d+\. ", section, re.MULTILINE)) <= 6
