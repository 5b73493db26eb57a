"""`codebook.html` and `codebook.md`: what every column means, and every code in English and Dutch.

The page asks nothing of the network, runs no script, and prints.
"""

import re
from collections.abc import Iterator
from html import escape

from pipelines.dataset.carried import Code, Dataset, Table

GROUPS = (
    ("mart", "Marts", "The figures."),
    ("core", "Dimensions", "What the codes stand for."),
    ("meta", "About the release", "What it is made of."),
)
# of a dimension, what is worth a column beside its labels
BESIDES = {
    "core.dim_monitor": ("publisher", "representativeness_en", "representativeness_nl"),
    "core.dim_sector": ("parent_code", "sbi_code"),
    "core.dim_measure": ("statistic", "scale_min", "scale_max", "unit", "direction"),
}
READING = (
    (
        "A headline mart has one row per monitor, period, audience, sector, channel and measure. Totals stand beside "
        "their details: leave out `is_total` before adding up, and use one `period_type` at a time.",
        "Een hoofdtabel heeft één rij per monitor, periode, doelgroep, sector, kanaal en maat. Totalen staan naast hun "
        "onderdelen: laat `is_total` weg voor u optelt, en gebruik één `period_type` tegelijk.",
    ),
    (
        "Never average averages. Add up the sums where they are given, or use the ready total.",
        "Middel nooit gemiddelden. Tel de sommen op waar die staan, of gebruik het kant-en-klare totaal.",
    ),
    (
        "A hidden figure is empty (NULL), never 0. `conf_status` says that it is hidden, `suppression_reason` why.",
        "Een weggelaten cijfer is leeg (NULL), nooit 0. `conf_status` zegt dat het is weggelaten, "
        "`suppression_reason` waarom.",
    ),
    (
        "An interval tells how far other samples of the same kind would move the figure. It does not tell who chose "
        "to take part: a figure is about those whom its monitor reached, and about a country or a whole sector only "
        "as far as `representativeness_en` of the monitor says so.",
        "Een marge zegt hoeveel het cijfer met andere steekproeven van dezelfde soort zou verschuiven. Zij zegt niet "
        "wie er mee wilde doen: een cijfer gaat over wie de monitor bereikte, en over een land of een hele sector "
        "alleen voor zover `representativeness_nl` van de monitor dat zegt.",
    ),
    (
        "`all` is the total of a dimension; `not_applicable` says that the question was not about it.",
        "`all` is het totaal van een dimensie; `not_applicable` zegt dat de vraag er niet over ging.",
    ),
)


def _facts(dataset: Dataset) -> list[tuple[str, str]]:
    release, declared = dataset.release, dataset.declared
    facts = [
        ("Release", release.id),
        ("Version", release.version),
        ("Answers through", str(release.data_through)),
        ("Publisher", dataset.publisher),
        ("Licence", dataset.licence.title if dataset.licence else "none is declared"),
        ("Made by", f"Meetlat {release.meetlat_version}"),
    ]
    if declared.contact:
        facts.insert(4, ("Contact", declared.contact.email or declared.contact.url or ""))
    return facts


def _grouped(dataset: Dataset) -> Iterator[tuple[str, str, list[Table]]]:
    for schema, title, text in GROUPS:
        if tables := [t for t in dataset.tables.values() if t.name.startswith(f"{schema}.")]:
            yield title, text, sorted(tables, key=lambda t: t.name)


def _shown(dataset: Dataset, table: Table) -> tuple[str, list[str]]:
    """A sentence before the columns, and the names of those that are listed: of a view what it adds."""
    if not table.view_of:
        return "", [c.name for c in table.columns]
    base = {c.name for c in dataset.tables[table.view_of].columns}
    return f"The columns of {table.view_of}, and these:", [c.name for c in table.columns if c.name not in base]


def _codes(dataset: Dataset) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Every dimension with labels: its name, a header, and rows."""
    for name, codes in sorted(dataset.codes.items()):
        besides = BESIDES.get(name, ())
        yield name, ["Code", "English", "Nederlands", *besides], [_cells(code, besides) for code in codes]


def _cells(code: Code, besides: tuple[str, ...]) -> list[str]:
    def plain(value: object) -> str:
        return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)

    return [code.code, code.en, code.nl, *(plain(code.more.get(each)) for each in besides)]


# --- Markdown ------------------------------------------------------------------------------------


def markdown(dataset: Dataset) -> str:
    en, nl = dataset.title
    lines = [f"# Codebook: {en}", "", nl, "", dataset.description[0], "", dataset.description[1], ""]
    lines += [*(f"- {name}: {value}" for name, value in _facts(dataset)), ""]
    lines += ["## Reading it", "", *(f"- {one}" for one, _ in READING), "", "## Lezen", ""]
    lines += [*(f"- {one}" for _, one in READING), ""]
    for title, text, tables in _grouped(dataset):
        lines += [f"## {title}", "", text, ""]
        for table in tables:
            before, names = _shown(dataset, table)
            shown = [c for c in table.columns if c.name in names]
            rows = [[f"`{c.name}`", c.type, c.text] for c in shown]
            lines += [f"### {table.name}", "", table.text, "", f"One row per {_grain(table)}.", ""]
            lines += [*([before, ""] if before else []), *_table(["Column", "Type", "Meaning"], rows)]
    lines += ["## Codes", ""]
    for name, header, each in _codes(dataset):
        rows = [[f"`{first}`", *rest] for first, *rest in each]
        lines += [f"### {name}, codes", "", *_table(header, rows)]
    return "\n".join(lines)


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    body = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *body]] + [""]


def _grain(table: Table) -> str:
    return ", ".join(f"`{g}`" for g in table.grain)


# --- HTML ----------------------------------------------------------------------------------------


def html(dataset: Dataset) -> str:
    en, nl = dataset.title
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in _facts(dataset))
    honest = f'<p class="honest">{escape(dataset.honesty[0])}</p>' if dataset.honesty[0] else ""
    reading = "".join(f"<li>{_text(one)}</li>" for one, _ in READING)
    lezen = "".join(f"<li>{_text(one)}</li>" for _, one in READING)
    contents, sections = [], []
    for title, text, tables in _grouped(dataset):
        links = "".join(f'<li><a href="#{t.name}">{t.short}</a></li>' for t in tables)
        contents.append(f"<h3>{title}</h3><ul>{links}</ul>")
        sections.append(f"<h2>{title}</h2><p>{text}</p>" + "".join(_section(dataset, t) for t in tables))
    codes = list(_codes(dataset))
    links = "".join(f'<li><a href="#codes-{name}">{_dimension(name)}</a></li>' for name, _, _ in codes)
    contents.append(f"<h3>Codes</h3><ul>{links}</ul>")
    listed = "".join(_codes_section(name, header, rows) for name, header, rows in codes)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Codebook: {escape(en)}</title>
<style>{STYLE}</style>
</head>
<body>
<a class="skip" href="#tables">Skip to the tables</a>
<header>
<p class="kind">Codebook</p>
<h1>{escape(en)}</h1>
<p class="title" lang="nl">{escape(nl)}</p>
<div class="both"><p>{escape(dataset.description[0])}</p><p lang="nl">{escape(dataset.description[1])}</p></div>
{honest}<dl>{facts}</dl>
</header>
<div class="page">
<nav aria-label="Contents"><h2>Contents</h2>{"".join(contents)}</nav>
<main id="tables">
<h2>Reading it</h2>
<div class="both"><ul>{reading}</ul><ul lang="nl">{lezen}</ul></div>
{"".join(sections)}
<h2>Codes</h2><p>Every code with its label in English and in Dutch.</p>
{listed}
</main>
</div>
</body>
</html>
"""


def _section(dataset: Dataset, table: Table) -> str:
    before, names = _shown(dataset, table)
    rows = []
    for column in table.columns:
        if column.name not in names:
            continue
        to = dataset.points_to(table, column.name)
        to = to if to and to[0] in dataset.codes else None
        link = f' <a href="#codes-{to[0]}">codes</a>' if to else ""
        key = ' <span class="key">key</span>' if column.name in table.grain and not table.view_of else ""
        rows.append(
            f'<tr><th scope="row"><code>{column.name}</code>{key}</th><td class="type">{column.type.lower()}</td>'
            f"<td>{_text(column.text)}{link}</td></tr>"
        )
    return (
        f'<section id="{table.name}"><h3><code>{table.name}</code></h3><p>{_text(table.text)}</p>'
        f'<p class="grain">One row per {_text(_grain(table))}.</p>'
        + (f"<p>{_text(before)}</p>" if before else "")
        + f"<table><caption>Columns of {table.name}</caption><thead><tr>"
        '<th scope="col">Column</th><th scope="col">Type</th><th scope="col">Meaning</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></section>"
    )


def _codes_section(name: str, header: list[str], rows: list[list[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(each.replace("_", " "))}</th>' for each in header)
    languages = [' lang="nl"' if each.endswith("_nl") else "" for each in header[3:]]
    body = "".join(
        # a code that is long breaks at its words
        f'<tr><th scope="row"><code>{escape(code).replace("_", "_<wbr>")}</code></th>'
        f'<td>{escape(en)}</td><td lang="nl">{escape(nl)}</td>'
        + "".join(f"<td{language}>{escape(cell)}</td>" for language, cell in zip(languages, besides, strict=True))
        + "</tr>"
        for code, en, nl, *besides in rows
    )
    return (
        f'<section id="codes-{name}"><h3>{_dimension(name)}</h3><table class="codes"><caption>Codes of {name}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></section>"
    )


def _dimension(name: str) -> str:
    return name.removeprefix("core.dim_").replace("_", " ").capitalize()


def _text(text: str) -> str:
    """Text with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #4d5968; --line: #d5dae1; --ground: #fff; --tint: #f3f5f8;
  --link: #0b5394; --key: #7a4a00; --keyground: #fdf1dc }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #aeb8c5; --line: #3a4452; --ground: #14181f;
  --tint: #1d232c; --link: #8fc1f5; --key: #f2cf91; --keyground: #3b2d12 } }
* { box-sizing: border-box }
html { scroll-padding-top: 1rem }
body { margin: 0; font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; color: var(--ink);
  background: var(--ground) }
a { color: var(--link) }
.skip { position: absolute; left: -100rem }
.skip:focus { left: 1rem; top: .5rem; background: var(--ground); padding: .5rem }
header { padding: 2.5rem 2rem 1.5rem; background: var(--tint); border-bottom: 1px solid var(--line) }
header > * { max-width: 76rem; margin-left: auto; margin-right: auto }
.kind { margin: 0 auto; color: var(--soft); font-weight: 600; letter-spacing: .06em; text-transform: uppercase;
  font-size: .8rem }
h1 { margin: .2rem auto 0; font-size: 2rem; line-height: 1.2 }
.title { margin: .2rem auto 1.2rem; color: var(--soft); font-size: 1.15rem }
.both { display: grid; grid-template-columns: 1fr 1fr; gap: 0 2.5rem }
.both > * { margin-top: 0 }
.both > ul { padding-left: 1.2rem }
dl { display: flex; flex-wrap: wrap; gap: .6rem 2.2rem; margin: .6rem auto 0 }
dt { color: var(--soft); font-size: .8rem }
dd { margin: 0; overflow-wrap: anywhere }
.page { display: grid; grid-template-columns: 15rem minmax(0, 1fr); gap: 2.5rem; max-width: 80rem; margin: 0 auto;
  padding: 1.5rem 2rem 4rem }
nav { position: sticky; top: 1rem; align-self: start; max-height: calc(100vh - 2rem); overflow: auto;
  font-size: .88rem }
nav h2 { font-size: 1rem; margin: 0 }
nav h3 { font-size: .8rem; color: var(--soft); margin: 1rem 0 .2rem }
nav ul { list-style: none; margin: 0; padding: 0 }
nav a { display: block; padding: .1rem 0; text-decoration: none; overflow-wrap: anywhere }
nav a:hover { text-decoration: underline }
main h2 { font-size: 1.5rem; margin: 2.5rem 0 .4rem; border-bottom: 2px solid var(--line); padding-bottom: .2rem }
main h2:first-child { margin-top: 0 }
section { margin: 2rem 0 0 }
h3 { font-size: 1.15rem; margin: 0 0 .3rem }
h3 code { font-weight: 700; font-size: 1em }
.honest { margin: .2rem auto 1rem; padding: .5rem .9rem; background: var(--keyground); color: var(--key);
  border-left: 4px solid; font-weight: 600 }
section p { margin: .2rem 0; max-width: 48rem }
.grain { color: var(--soft); font-size: .92rem }
code { font: .92em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere }
table { width: 100%; border-collapse: collapse; margin: .7rem 0 0; font-size: .92rem; table-layout: fixed }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
th, td { text-align: left; vertical-align: top; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere }
thead th { color: var(--soft); font-size: .8rem; border-bottom-width: 2px }
.codes { table-layout: auto }
.codes td, .codes thead th, .codes code { overflow-wrap: break-word }
section { overflow-x: auto }
tbody th { font-weight: 400 }
table:not(.codes) thead th:first-child { width: 17rem }
table:not(.codes) thead th:nth-child(2) { width: 6rem }
.type { color: var(--soft) }
.key { background: var(--keyground); color: var(--key); border-radius: .2rem; padding: 0 .35rem; font-size: .78rem }
@media (max-width: 60rem) { .page { display: block; padding: 1.2rem } .both { display: block }
  header { padding: 1.5rem 1.2rem }
  nav { position: static; max-height: none; margin-bottom: 2rem; columns: 2 }
  table:not(.codes) thead th:first-child { width: 11rem } }
@media print { :root { --ink: #000; --soft: #333; --line: #999; --ground: #fff; --tint: #fff; --link: #000;
  --key: #000; --keyground: #eee } @page { margin: 1.5cm } html { font-size: 9pt } body { font-size: 1rem }
  .skip { display: none } .page { display: block; padding: 0 } header { padding: 0 0 .6cm }
  nav { position: static; max-height: none;
  columns: 4 }
  nav h3 { break-after: avoid } main { break-before: page } tr, h2, h3, .grain { break-inside: avoid }
  h2, h3, .grain, section > p { break-after: avoid } thead { display: table-header-group }
  a { text-decoration: none } }
"""
