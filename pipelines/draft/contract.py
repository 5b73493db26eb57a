"""A proposal as the text of a contract: what is asked of every source, the file, and the columns.

Which column is what is in `proposal.py`; how YAML is written is in `notation.py`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines import reference
from pipelines.draft.columns import Column
from pipelines.draft.notation import WIDE, ask, flow, key, note, plain, scalar
from pipelines.draft.proposal import Proposal, Role
from pipelines.draft.vocabulary import same_words

ORDER = (  # what an order key looks like in a file name, the finest first → how the contract says it
    (r"\d{4}-\d{2}-\d{2}", r"\d{4}-\d{2}-\d{2}"),
    (r"\d{4}_\d{2}_\d{2}", r"\d{4}_\d{2}_\d{2}"),
    (r"20\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", r"\d{8}"),
    (r"\d{4}-Q[1-4]", r"\d{4}-Q[1-4]"),
    (r"\d{4}Q[1-4]", r"\d{4}Q[1-4]"),
    (r"\d{4}-\d{2}", r"\d{4}-\d{2}"),
    (r"\d{4}_\d{2}", r"\d{4}_\d{2}"),
    (r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])", r"\d{6}"),
    (r"(?:19|20)\d{2}", r"\d{4}"),
)


def text(path: Path, proposal: Proposal) -> str:
    export = proposal.export
    out = [
        "# yaml-language-server: $schema=../../docs/contract.schema.json",
        *note(
            f"Drafted by `meetlat draft` from {plain(path.name, 200)}, which looks like {export.tool}; "
            f"rows read: {proposal.rows:,}. Everything is a proposal: read every line. Behind each QUESTION stands a "
            "blank to fill in; `meetlat check` refuses this contract until all are."
        ),
        *_source(path, proposal),
        "",
        *_files(path),
        *(line for remark in export.remarks for line in note(remark)),
        f"format: {flow(export.form)}",
    ]
    if proposal.decimal != ".":
        out.append(f"decimal: {scalar(proposal.decimal)}")
    if export.time_zone:
        out.append(f"time_zone: {export.time_zone} # of the user who exported")
    return "\n".join([*out, "", *_columns(proposal), *_discard(proposal)]) + "\n"


def _source(path: Path, proposal: Proposal) -> list[str]:
    """What no file says: who asked whom, what for, and when."""
    lists = proposal.lists
    out = [
        f"title: {scalar(re.sub(r'[^0-9A-Za-zÀ-ž]+', ' ', _stem(path.name)).strip() or 'Untitled')}",
        *ask("of which monitor? One of", _codes(lists, "monitors"), "or add one to reference/monitors.csv"),
        "monitor:",
        *ask("who answered? One of", _codes(lists, "audiences"), "or add one to reference/audiences.csv"),
        "audience:",
        *ask("which country? Two capital letters such as NL, or global"),
        "country:",
        "provenance: survey",
        *ask("who answers for the personal data? It is published, and part of every pseudonym: never change it"),
        "controller:",
        *ask("what are the data used for?"),
        "purpose:",
        *ask("under which licence or agreement may they be used?"),
        "licence:",
    ]
    if proposal.has("organisation"):
        out += [*ask("what was drawn or takes part: organisation or respondent?"), "sampling_unit:"]
    else:
        out.append("sampling_unit: respondent # no column with the organisation rated was recognised")
    out.append("# sector: ict # if all responses are about one sector; a code of reference/sectors.csv")
    if not proposal.has("date"):
        out += [
            *ask("when was the fieldwork? No column with a date was recognised. The code is such as wave-2024"),
            "wave:", "  code:", "  start:", "  end:",
        ]  # fmt: skip
    return out


def _codes(lists: Mapping[str, reference.Rows], name: str) -> str:
    code = reference.LISTS[name][0]
    return ", ".join(row[code] for row in lists[name])


# --- the columns ---------------------------------------------------------------------------------


def _columns(proposal: Proposal) -> list[str]:
    out = ["columns:"]
    for question in proposal.notes:
        out += [f"  {line}" for line in ask(question)]
    for column in proposal.columns:
        if column.id in proposal.roles:
            out += _mapped(column, proposal.roles[column.id])
    if not proposal.has("question"):
        asked = (
            "which columns are questions? No grades from 0 or 1 to 10 were recognised. Take them out of `discard`, "
            "as `NAME: {role: question, measure: ..., values: {...}}`"
        )
        out += [f"  {line}" for line in ask(asked)]
    return out


def _mapped(column: Column, roles: Sequence[Role]) -> list[str]:
    said = [f"  # {plain(column.label, 100)}"] if column.label and not same_words(column.label, column.id) else []
    every = [[f"role: {role.name}", *role.lines] for role in roles]
    if len(every) == 1 and len(every[0]) <= 2 and "#" not in "".join(every[0]):
        return [*said, f"  {key(column.id)}: {{{', '.join(every[0])}}}"]
    out = [*said, f"  {key(column.id)}:"]
    for role in every:
        lines = [part for line in role for part in _within(line)]
        marks = [""] * len(lines) if len(every) == 1 else ["- ", *["  "] * (len(lines) - 1)]
        out += [f"    {mark}{line}" for mark, line in zip(marks, lines, strict=True)]
    return out


def _within(line: str) -> list[str]:
    """A comment over several lines if it is long; a proposal in a comment stays on one."""
    return note(line[2:]) if line.startswith("# ") and len(line) > WIDE and " # " not in line[2:] else [line]


def _discard(proposal: Proposal) -> list[str]:
    if not proposal.discard:
        return []
    out = ["", *note("Read past, never stored. Move up what is a question after all."), "discard:"]
    for name, seems in proposal.discard:
        line = f"  - {scalar(name)} # {seems}"
        out += [line] if len(line) <= WIDE else [*(f"  {said}" for said in note(seems)), f"  - {scalar(name)}"]
    return out


# --- the file ------------------------------------------------------------------------------------


def _files(path: Path) -> list[str]:
    """The pattern of the names, and the order key in them."""
    name, stem = path.name, _stem(path.name)
    ending = name[len(stem) :]
    files = "*" + _glob(ending)
    order = ["order:"]
    for looks, pattern in ORDER:
        if found := re.search(rf"(?<!\d)({looks})(?!\d)", name):
            files = _glob(name[: found.start(1)]) + "*" + _glob(name[found.end(1) :])
            first = re.search(pattern, name)
            alone = first is not None and first[0] == found[1]
            group = f"({pattern})" if alone else rf"(?<!\d)({pattern})(?!\d)"
            order = [f"order: '{group}' # out of the file name; compared as text"]
            break
    else:
        asked = (
            f"what tells which file is newer? This name has no date that sorts. Rename it, such as {stem}_2024-03"
            f"{ending}, and give the pattern of the key, such as '(\\d{{4}}-\\d{{2}})'"
        )
        order = [*ask(asked), *order]
    return [
        f"files: {scalar(files, quote=True)}",
        "delivery:",
        "  mode: append # a repeated response replaces the earlier; snapshot: the newest file is everything",
        *(f"  {line}" for line in order),
    ]


def _stem(name: str) -> str:
    return re.sub(r"(\.[A-Za-z][A-Za-z0-9]{0,8}){1,2}$", "", name)


def _glob(text: str) -> str:
    return re.sub(r"[\[\]*?]", "?", text)
