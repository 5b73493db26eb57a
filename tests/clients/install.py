"""Install clients for the tests, into <environment>/clients: `python tests/clients/install.py python|node|superset`.

`python` is for the marker `clients`, `node` and `superset` for `clients_full`; that one needs Node 18 and Chromium as
well. What is there already is left alone.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
CLIENTS = Path(sys.prefix) / "clients"
ENGINES = (HERE / "engines.txt").read_text().split()
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-warn-conflicts")


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True)


def once(name: str, wanted: str, make: Callable[[Path], None]) -> None:
    """Make a folder unless it was made of the same."""
    folder, made = CLIENTS / name, CLIENTS / f"{name}.made"
    if made.is_file() and made.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make(folder)
    made.write_text(wanted)


def python() -> None:
    """Old engines, each in a folder of its own, and the clients in one."""

    def engine(version: str) -> None:
        of = f"duckdb=={version}"
        once(f"duckdb-{version}", of, lambda to: run(sys.executable, *PIP, "--no-deps", "--target", to, of))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(engine, ENGINES))
    listed = HERE / "requirements-python.txt"
    once(
        "python",
        listed.read_text(),
        lambda to: run(sys.executable, *PIP, "--no-deps", "--target", to, "-r", listed),
    )


def node() -> None:
    """What npm has; without a lock file, as that would name a registry."""
    wanted = (HERE / "package.json").read_text()

    def make(folder: Path) -> None:
        (folder / "package.json").write_text(wanted)
        run("npm", "install", "--prefix", folder, "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")

    once("node", wanted, make)


def superset() -> None:
    listed = HERE / "requirements-superset.txt"

    def make(folder: Path) -> None:
        run(sys.executable, "-m", "venv", folder)
        run(folder / "bin" / "python", *PIP, "-r", listed)

    once("superset", listed.read_text(), make)


if __name__ == "__main__":
    known = {each.__name__: each for each in (python, node, superset)}
    if not sys.argv[1:] or set(sys.argv[1:]) - set(known):
        sys.exit(f"Say which: {', '.join(known)}.")
    for name in sys.argv[1:]:
        known[name]()
