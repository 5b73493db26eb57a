"""The `meetlat` command: reads arguments, calls one function, prints what it gave.

Tables go to standard output, progress and errors to standard error. Everything heavy is imported by
the command that needs it, so that `--help` is quick.
"""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.errors import MeetlatError, of_a_file

Engine = Literal["here", "spark"]

app = typer.Typer(
    help="Customer-experience benchmarks from raw survey exports.",
    no_args_is_help=True,
    context_settings={"max_content_width": 120},
    rich_markup_mode=None,  # plain text: the other takes twice as long to import as all else
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run a command; what can go wrong ends in a sentence and a status, never in a traceback."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # else a thread a core waits busily for work that never comes
    gc.set_threshold(50_000, 20, 100)  # Dagster holds so many objects that to go through them often is costly
    try:
        app()
    except MeetlatError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("Stopped; what was published before still stands.", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        print(of_a_file(error) or _unexpected(error), file=sys.stderr)
        sys.exit(1)


def _unexpected(error: Exception) -> str:
    """Keep where it happened for whoever mends it, without the error's text, which may quote a row."""
    import traceback

    from pipelines import settings

    fault = f"This is a fault in Meetlat ({type(error).__name__}), not in your data"
    place = "".join(traceback.format_tb(error.__traceback__))
    file = settings.load().state / "logs" / "unexpected.log"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as log:
            log.write(f"{type(error).__name__}\n{place}\n")
    except OSError as refused:  # it may be what went wrong
        return (
            f"{fault}; where it happened could not be noted in {file} ({refused.strerror}). Mend that, then try again."
        )
    return f"{fault}; please report what stands in {file}."


# --- refreshing ----------------------------------------------------------------------------------


@app.command()
def refresh(
    full: Annotated[bool, typer.Option("--full", help="Run every step, also those with nothing new.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say what would run and why; change nothing.")] = False,
    select: Annotated[
        str | None, typer.Option("--select", metavar="TABLE", help="Make one table's parts; publish nothing.")
    ] = None,
    engine: Annotated[
        Engine, typer.Option("--engine", help="Where deliveries are staged and counted: here, or on MEETLAT_SPARK.")
    ] = "here",
) -> None:
    """Stage what is new, rebuild what depends on it, publish a release."""
    from pipelines import plan, settings
    from pipelines import refresh as refreshing

    if select and engine == "spark":
        raise typer.BadParameter("--select makes its parts here; leave out --engine.")
    if explain and (full or select):
        raise typer.BadParameter("--explain says what a refresh would make anew; leave out --full and --select.")
    here = settings.load()
    if explain:
        _explain(plan.look(here, make_key=False))
        return
    with _progress() as report:
        if select:
            build = refreshing.make(here, select, report)
            print(f"{select}: {sum(p.facts['rows'] for p in build.parts(select)):,} rows; nothing was published.")
            return
        try:
            outcome = refreshing.run(here, report, full, engine == "spark")
        except Exception as error:
            fault = f"A fault in Meetlat: {type(error).__name__}."
            sentence = str(error) if isinstance(error, MeetlatError) else of_a_file(error) or fault
            _tell(refreshing.conclude(here, refreshing.NOTHING_PUBLISHED, [sentence]))
            raise
    from pipelines import report as reporting

    reporting.after_refresh(here, outcome)
    for sentence in outcome.trouble:
        print(sentence, file=sys.stderr)
    _tell(refreshing.conclude(here, outcome.status, outcome.trouble))
    sys.exit(outcome.status)


def _explain(inputs: "plan.Inputs") -> None:  # type: ignore[name-defined]  # noqa: F821
    from pipelines import plan
    from pipelines.changes import record

    current = plan.manifest(inputs.settings)
    for sentence in inputs.stopped:
        print(sentence)
    if inputs.stand(current):
        print(f"Nothing new: release {current['release_id']} stands on what is there.")
        return
    if inputs.are_stopped(current):
        print(f"Nothing would be published; release {current['release_id']} stands.")
        return
    for sentence in record.news(inputs, current):
        print(sentence)
    reasons = plan.stale(inputs)
    for name, why in reasons.items():
        print(f"{name}: {why}")
    print("A release would be published" + ("." if reasons else "; every part of it exists."))


def _tell(sentence: str | None) -> None:
    if sentence:
        print(sentence, file=sys.stderr)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line on the terminal that says what is being done; nothing where there is no terminal."""
    from rich.console import Console

    with Console(stderr=True).status("looking at raw/") as status:
        yield lambda text: status.update(text)


@app.command()
def check() -> None:
    """Check everything that can be wrong before data is touched: contracts, SQL headers, references."""
    from pipelines import contracts, deliveries, models, plan, reference, settings
    from pipelines.dataset import declared

    here = settings.load()
    declared.load(here.raw)
    agreed = {f.name: contracts.load(f) for f in deliveries.sources(here.raw)}
    lists = reference.load(here.raw, agreed)
    if faults := reference.faults(lists, agreed):
        raise MeetlatError("\n".join(faults))
    for name, contract in agreed.items():
        for measure in contract.measures:
            reference.measure(lists, measure, name)
    tables = models.load(here.sql)
    models.bind(tables, plan.bare_tables())
    print(f"{len(agreed)} contracts, {len(tables)} models and {len(lists)} lists are in order.")


@app.command()
def accept(source: Annotated[str, typer.Argument(help="Name of the source.")]) -> None:
    """Confirm that a delivery is meant to be gone or changed, or that the gate may let a drop pass."""
    from pipelines import plan, settings

    print(plan.accept(settings.load(), source))


@app.command()
def erase(
    source: Annotated[str, typer.Argument(help="Name of the source that the ids belong to.")],
    file: Annotated[
        Path | None, typer.Argument(help="A file with one id a line; standard input if left out or `-`.")
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="respondent|response", help="What the ids are of; respondents first.")
    ] = None,
    renamed: Annotated[
        str | None,
        typer.Option("--renamed", metavar="NEW", help="The folder of this source has this name now; erases nobody."),
    ] = None,
    gone: Annotated[
        bool, typer.Option("--gone", help="This source, or the id it no longer maps, is gone for good; erases nobody.")
    ] = False,
) -> None:
    """Erase persons: from the current release, from every earlier one that is kept, and for good.

    With --renamed or --gone nobody is erased: they say what became of a source, or of its ids, by which persons were
    erased before. Without one of the two a refresh that no longer finds them refuses.
    """
    from pipelines import refresh as refreshing
    from pipelines import settings

    if renamed is not None or gone:
        if file or by or (renamed is not None and gone):
            raise typer.BadParameter("Give --renamed NEW or --gone with the source and nothing else.")
        print(refreshing.resettle(settings.load(), source, renamed))
        return
    given = None if file is None or str(file) == "-" else file
    try:
        # Windows puts a byte order mark before the first id, also in what is piped
        text = (sys.stdin.buffer.read() if given is None else given.read_bytes()).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise MeetlatError(
            f"{given or 'Standard input'} cannot be read as text in UTF-8; give one id a line."
        ) from None
    with _progress() as report:
        sentences = refreshing.erase(settings.load(), source, by, text.splitlines(), report)
    print("\n".join(sentences))


# --- looking -------------------------------------------------------------------------------------


@app.command()
def status() -> None:
    """What is in the current release, how fresh it is, which deliveries, how the last refresh ended."""
    from pipelines import report, settings

    report.status(settings.load())


@app.command()
def releases() -> None:
    """List the releases that are kept, and which one is served."""
    from pipelines import report, settings

    report.releases(settings.load())


@app.command()
def rollback(
    release: Annotated[
        str | None, typer.Argument(help="Name of a release, or how it begins; the one before the current if left out.")
    ] = None,
    lift: Annotated[bool, typer.Option("--lift", help="Serve the newest release again.")] = False,
) -> None:
    """Serve an earlier release and pin it: refreshes go on, but do not serve what they make."""
    from pipelines import refresh as refreshing
    from pipelines import settings

    if lift and release:
        raise MeetlatError("Give a release or --lift, not both.")
    print(refreshing.rollback(settings.load(), release, lift))


@app.command()
def show(
    table: Annotated[str, typer.Argument(help="Such as mart.channel_rating.")],
    rows: Annotated[int, typer.Option("--rows", "-n", help="Rows to show at most.")] = 20,
) -> None:
    """Show the first rows of a table of the current release."""
    from pipelines import report, settings

    report.show(settings.load(), table, rows)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="A SELECT over the tables of the release.")],
    csv: Annotated[bool, typer.Option("--csv", help="Write CSV instead of a table.")] = False,
) -> None:
    """Run a query on the current release, read-only, with the restricted tables."""
    from pipelines import report, settings

    report.query(settings.load(), sql, csv)


@app.command()
def quarantine(
    source: Annotated[str | None, typer.Argument(help="Name of a source; all if left out.")] = None,
) -> None:
    """Show refused answers and rows by source and reason, and what would mend them."""
    from pipelines import report, settings

    report.quarantine(settings.load(), source)


@app.command()
def audit(
    release: Annotated[
        str | None,
        typer.Argument(help="Name of a release, or how it begins, or a folder; the current one if left out."),
    ] = None,
) -> None:
    """Try to work out of the outputs what they hide; status 1 if something can be known."""
    from pipelines import audit as auditing
    from pipelines import history, report, settings

    here = settings.load()
    if release is None:
        folder = here.current.resolve()
        if not folder.is_dir():
            raise MeetlatError(f"There is no release in {here.warehouse} yet; run `meetlat refresh`.")
    else:
        places = [here.warehouse / "candidates" / release, Path(release)]
        folder = next((place for place in places if place.is_dir()), None) or history.find(here, release).folder
        folder = folder.resolve()
    with _progress() as tell:
        tell(f"auditing {folder.name}")
        found = auditing.audit(folder, auditing.retained(here.warehouse / "releases", folder), here.threads)
    report.audit(found)
    sys.exit(1 if found.failed else 0)


@app.command()
def diff(
    before: Annotated[
        str | None, typer.Argument(metavar="A", help="A release; the one made last before B if left out.")
    ] = None,
    after: Annotated[str | None, typer.Argument(metavar="B", help="A release; the current one if left out.")] = None,
    output: Annotated[str | None, typer.Option("--output", help="Only this one: house or public.")] = None,
    table: Annotated[str | None, typer.Option("--table", help="Only this table, such as mart.nps_by_sector.")] = None,
    rows: Annotated[int, typer.Option("--rows", "-n", min=0, help="Cells to show at most.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Write every cell as JSON instead.")] = False,
) -> None:
    """Show every published cell that changed between two releases, and why."""
    from pipelines import report, settings
    from pipelines.changes import asked

    here = settings.load()
    older, newer = asked.releases(here, before, after)
    with _progress() as tell:
        tell(f"comparing {older.id} with {newer.id}")
        with asked.compared(here, older, newer, output, table) as con:
            if as_json:
                for line in asked.write_json(con, older, newer):
                    print(line)
            else:
                report.changes(con, older.id, newer.id, rows)


# --- drafting ------------------------------------------------------------------------------------


@app.command()
def draft(
    file: Annotated[Path, typer.Argument(help="An export that no contract describes yet.")],
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="Write it to raw/NAME/contract.yml instead.")
    ] = None,
) -> None:
    """Propose a contract for an export; what a person must decide is marked with QUESTION."""
    from pipelines import draft as drafting
    from pipelines import settings

    here = settings.load()
    if source is None:
        print(drafting.draft(here, file), end="")
        return
    contract = drafting.write(here, file, source)
    asked = drafting.questions(contract.read_text(encoding="utf-8"))
    print(f"Wrote {contract}; answer its {asked} questions, read the rest, then run `meetlat check`.")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a contract, for editors."""
    from pipelines import schema as describing

    print(describing.text(), end="")


# --- samples -------------------------------------------------------------------------------------


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="Where the sources are written; a raw folder.")],
    ratings: Annotated[int, typer.Option(min=4000, help="Customer ratings over the year 2011.")] = 420_000,
    seed: Annotated[int, typer.Option(help="The same seed, the same bytes.")] = 2011,
) -> None:
    """Write the synthetic exports, their contracts and the ledger of what is truly in them."""
    import shutil

    from pipelines import samples, settings

    samples.write_all(folder, ratings, seed)
    for written in sorted(folder.iterdir()):
        contract = settings.PROJECT / "raw" / written.name / "contract.yml"
        if contract.is_file() and not (written / "contract.yml").exists():
            shutil.copyfile(contract, written / "contract.yml")
    print(f"Wrote synthetic exports to {folder}; what is truly in them stands in {folder / '.ledger'}.")


if __name__ == "__main__":
    main()
