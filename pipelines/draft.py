"""A first contract for an export that nobody has described yet: `meetlat draft FILE`.

Everything is guessed here and nowhere else, from the first rows; no refresh comes here. The result is
a proposal in YAML. What a person must decide is a blank behind a `# QUESTION`, which `meetlat check`
refuses. Values of personal columns and of free text are never shown.

What the file is (`recognise`), what each column seems to be (`Proposal`), how it is written (`written`).
"""

import codecs
import csv
import io
import json
import re
import textwrap
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import yaml
from pydantic import TypeAdapter

from pipelines import engine, reference
from pipelines.contracts import Contract
from pipelines.engine import quoted
from pipelines.errors import DeliveryRefused, MeetlatError
from pipelines.formats import Format
from pipelines.readers import open_text
from pipelines.readers.archive import open_bytes, seekable
from pipelines.readers.headings import IMPORT_ID, cleaned
from pipelines.settings import Settings

ROWS = 5_000  # read at most
HEAD = 4 << 20  # bytes from which encoding, delimiter and headings are guessed
CODED = 20  # distinct values up to which a column is shown
LONGEST = 40  # characters of a value that is shown
WIDE = 116

T = TypeVar("T")


@dataclass(frozen=True)
class Export:
    """What the file seems to be."""

    tool: str  # for people
    form: dict[str, Any]  # the `format:` of the contract
    labels: Sequence[str] = ()  # a text for people per column, in file order, where the headings have one
    time_zone: str | None = None
    remarks: tuple[str, ...] = ()


@dataclass
class Column:
    """A column of the rows read: its id, its text for people, and its values with how often each stands there."""

    id: str
    rows: int
    counts: Counter[str]
    label: str = ""
    labels: dict[str, str] = field(default_factory=dict)  # code → label, where the file has them

    @property
    def filled(self) -> int:
        return self.counts.total()

    @property
    def words(self) -> str:
        return words(f"{self.id} {self.label}")

    @property
    def unique(self) -> bool:
        return self.filled == self.rows > 0 and len(self.counts) == self.filled

    @property
    def is_short(self) -> bool:
        """Whether its id is a name and not a whole question."""
        return len(words(self.id).split()) <= 5

    def label_of(self, value: str) -> str:
        return self.labels.get(value, value)


def words(text: str) -> str:
    """A heading as plain small words with a space before and after: `RecordedDate` → ` recorded date `."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    plain = "".join(c for c in unicodedata.normalize("NFKD", split) if not unicodedata.combining(c))
    return " " + " ".join(re.findall(r"[a-z0-9#]+", plain.lower())) + " "


def draft(settings: Settings, path: Path) -> str:
    """The text of a proposed contract. Raises MeetlatError with a sentence if the file cannot be read."""
    if not path.is_file():
        raise MeetlatError(f"{path} is not a file; give an export.")
    try:
        export = recognise(path)
        decimal = _decimal(settings, path, export.form)
        columns = read(settings, path, export, decimal)
    except DeliveryRefused as refused:
        raise MeetlatError(str(refused)) from None
    except duckdb.Error as error:  # its text may quote a row
        raise MeetlatError(f"{path.name} cannot be parsed as {export.tool} ({type(error).__name__}).") from None
    _refuse_headless(path, export, columns)
    if not any(column.rows for column in columns):
        raise MeetlatError(f"{path.name} has headings but no rows; draft from an export that holds responses.")
    with engine.connect(settings, settings.state, alone=True) as con:
        proposal = Proposal(con, export, columns, decimal, reference.load(settings.raw, {}))
    return written(path, export, decimal, proposal)


def write(settings: Settings, path: Path, source: str) -> Path:
    """Draft into `raw/<source>/contract.yml`, which must not exist yet."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", source) or source == "reference":
        raise MeetlatError(f"'{source}' cannot be the name of a source; use lower-case letters, digits and _ only.")
    contract = settings.raw / source / "contract.yml"
    if contract.exists():
        raise MeetlatError(f"{contract} exists already; remove it first, or draft to standard output.")
    text = draft(settings, path)
    contract.parent.mkdir(parents=True, exist_ok=True)
    with contract.open("x", encoding="utf-8") as file:
        file.write(text)
    return contract


def questions(text: str) -> int:
    """How many questions a draft has."""
    return text.count("# QUESTION")


# --- what the file is ----------------------------------------------------------------------------


def recognise(path: Path) -> Export:
    """Tell the tool and the format, from the bytes first and the headings then."""
    with open_bytes(path) as file:
        head = file.read(HEAD)
    if head[:4] == b"PK\x03\x04":
        return _workbook(path)
    if head[:4] == b"\xd0\xcf\x11\xe0":
        raise MeetlatError(f"{path.name} is an old Excel workbook (.xls); save it as .xlsx.")
    if head[:4] in (b"$FL2", b"$FL3"):
        return Export("SPSS", {"kind": "spss"})
    if head.startswith(b"<stata_dta>") or (".dta" in path.suffixes and head[:1] and 102 <= head[0] <= 119):
        return Export("Stata", {"kind": "stata"})
    if head[:4] == b"PAR1":
        return Export("Parquet", {"kind": "parquet"})
    encoding, remarks = _encoding(path, head)
    text = codecs.getincrementaldecoder(encoding)("strict").decode(head, final=False).lstrip("\ufeff")
    if text.lstrip()[:1] in ("{", "["):
        return _json(path, text)
    return _delimited(path, text, encoding.removesuffix("-sig"), remarks)


def _encoding(path: Path, head: bytes) -> tuple[str, tuple[str, ...]]:
    """A byte order mark, else strict UTF-8, else windows-1252: a guess, and said to be one."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return name, ()
    nul = head[:4096].count(b"\0")
    if nul and nul > len(head[:4096]) // 4:
        return ("utf-16-le" if head[1:2] == b"\0" else "utf-16-be"), (
            "encoding: two bytes a character, without a mark",
        )
    if nul:
        raise MeetlatError(f"{path.name} holds NUL bytes, so it is neither text nor a format that is known.")
    for name in ("utf-8", "windows-1252", "iso-8859-1"):
        try:
            codecs.getincrementaldecoder(name)("strict").decode(head, final=False)
        except UnicodeDecodeError:
            continue
        guessed = f"encoding: not UTF-8, taken for {name}; look whether accents and the euro sign are right"
        return name, () if name == "utf-8" else (guessed,)
    raise MeetlatError(f"{path.name} is in no encoding that is known.")  # iso-8859-1 decodes everything


def _delimited(path: Path, text: str, encoding: str, remarks: tuple[str, ...]) -> Export:
    delimiter, rows = _dialect(text)
    if len(rows[0]) < 2:
        raise MeetlatError(f"{path.name} has one column only, or its cells are divided by something unusual.")
    form: dict[str, Any] = {"kind": "csv", "encoding": encoding, "delimiter": delimiter}
    headings, tool, labels, zone = _headings(rows)
    if headings != ["name"]:
        form["headings"] = headings
    if tool == "plain":
        tool = "semicolon CSV" if delimiter == ";" else "CSV"
    return Export(tool, form, labels, zone, remarks)


def _dialect(text: str) -> tuple[str, list[list[str]]]:
    """The delimiter with which most records are as wide as the first, and of these the one that divides most."""
    best: tuple[float, int, str, list[list[str]]] = (-1.0, 0, ",", [[""]])
    for delimiter in (",", ";", "\t", "|"):
        rows: list[list[str]] = []
        try:
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
                if row:
                    rows.append(row)
                if len(rows) > 200:
                    break
        except csv.Error:
            pass
        if not rows:
            continue
        width = len(rows[0])
        same = sum(len(row) == width for row in rows) / len(rows) if width > 1 else 0.0
        if (round(same, 1), width) > (round(best[0], 1), best[1]):
            best = (same, width, delimiter, rows)
    return best[2], best[3]


def _headings(rows: Sequence[Sequence[str]]) -> tuple[list[str], str, list[str], str | None]:
    """The roles of the heading rows, the tool, a text per column, and the time zone if one stands there."""
    first, second, third = ([*rows, [], [], []])[:3]
    if sum(bool(IMPORT_ID.search(cell)) for cell in third) > len(third) / 2:
        zone = next(
            (found[1] for cell in third if (found := re.search(r"timeZone\W+([A-Za-z_]+/[A-Za-z_/]+)", cell))), None
        )
        pairs = zip(first, second, strict=False)
        labels = [name if words(name) == words(text) else f"{name} {text}" for name, text in pairs]
        return ["name", "label", "import_id"], "Qualtrics, three heading rows", labels, zone
    if sum(bool(re.fullmatch(r"V\d+", cell.strip())) for cell in first) >= 3 and "ResponseID" in second:
        return ["skip", "name"], "Qualtrics, two heading rows (legacy)", list(second), None
    names = [cell.strip() for cell in first]
    if _blanks(second) >= 2 and second and _fits(names, "respondent id", "collector id"):
        return ["group", "name"], "SurveyMonkey, two heading rows", [], None
    if (
        _blanks(second) == 0
        and _blanks(first) >= 0.3 * len(first)
        and any(
            cell.strip() in ("#", "Network ID", "Submit Date (UTC)", "Response", "Open-Ended Response")
            for cell in second
        )
    ):
        tool = "Typeform, two heading rows" if "#" in second else "SurveyMonkey, two heading rows"
        return ["group", "name"], tool, [], None
    return ["name"], _tool(names), [], None


def _blanks(row: Iterable[str]) -> int:
    return sum(not cell.strip() for cell in row)


def _fits(names: Iterable[str], *wanted: str) -> bool:
    """Whether a heading for each of the wanted is there, whatever its capitals and spaces."""
    plain = {words(n).replace(" ", "") for n in names}
    return all(w.replace(" ", "") in plain for w in wanted)


MOMENT = ("timestamp", "tijdstempel", "zeitstempel", "horodateur", "marca temporal", "informazioni cronologiche")
MS_FORMS = (  # in every language id, start, completion, e-mail and name come first
    "start time", "begintijd", "starttijd", "tijdstip van starten", "startzeit", "heure de debut", "hora de inicio",
)  # fmt: skip


def _tool(names: Sequence[str]) -> str:
    """The tool that writes these names in one heading row, or `plain`."""
    if _fits(names, "id", "submitdate", "lastpage"):
        return "LimeSurvey, codes as headings"
    if _fits(names, "response id", "date submitted", "last page"):
        return "LimeSurvey, full texts as headings"
    if _fits(names, "response id", "recorded date") or _fits(names, "response id", "ip address", "finished"):
        return "Qualtrics, one heading row"
    if "#" in names or _fits(names, "network id", "submit date utc"):
        return "Typeform"
    if _fits(names, "respondent id"):
        return "SurveyMonkey, one heading row (condensed)"
    if names and any(_fits(names[:1], moment) for moment in MOMENT):
        return "Google Forms"
    if len(names) > 2 and _fits(names[:1], "id") and any(_fits(names[1:2], start) for start in MS_FORMS):
        return "Microsoft Forms"
    return "plain"


def _workbook(path: Path) -> Export:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_filelike(seekable(path))
        heights = {name: book.get_sheet_by_name(name).height for name in book.sheet_names}
        sheet = max(heights, key=lambda name: heights[name])
        area = book.get_sheet_by_name(sheet).to_python(skip_empty_area=True, nrows=4)
    except (CalamineError, ValueError, IndexError):
        raise MeetlatError(f"{path.name} is not a readable XLSX workbook.") from None
    rows = [[str(cell) for cell in row] for row in area if any(cell not in ("", None) for cell in row)]
    if not rows:
        raise MeetlatError(f"{path.name}: its sheets are empty.")
    form: dict[str, Any] = {"kind": "xlsx"}
    remarks: tuple[str, ...] = ()
    if len(heights) > 1:
        form["sheet"] = sheet
        remarks = (f"format: the longest of {len(heights)} sheets was taken",)
    headings, tool, labels, zone = _headings(rows)
    if headings != ["name"]:
        form["headings"] = headings
    return Export("XLSX" if tool == "plain" else f"{tool}, as XLSX", form, labels, zone, remarks)


def _json(path: Path, text: str) -> Export:
    """One object a line, or one document; of Qualtrics, of the API of SurveyMonkey, or of nobody in particular."""
    lines = [line for line in text.splitlines()[:200] if line.strip()]
    objects = [made for line in lines if isinstance(made := _parsed(line), dict)]
    a_line_each = len(objects) >= max(1, len(lines) - 1)
    beginning = text[:200_000]
    if '"responseId"' in beginning and '"values"' in beginning:
        return Export("Qualtrics JSON", {"kind": "qualtrics_json"})
    if '"response_status"' in beginning and '"pages"' in beginning:
        return Export("SurveyMonkey API", {"kind": "surveymonkey_json"})
    if a_line_each and not (len(objects) == 1 and any(isinstance(v, list) for v in objects[0].values())):
        nested = any(isinstance(value, dict) for made in objects for value in made.values())
        return Export("JSON lines", {"kind": "jsonl"} | ({"flatten": True} if nested else {}))
    if len(text) >= HEAD - 4:
        whole = None if path.stat().st_size > 25 * HEAD else _parsed(seekable(path).read())
    else:
        whole = _parsed(text)
    rows = None
    if isinstance(whole, dict):
        rows = next((k for k, v in whole.items() if isinstance(v, list) and v and isinstance(v[0], dict)), None)
        whole = whole.get(rows) if rows else None
    if not isinstance(whole, list) or not whole or not isinstance(whole[0], dict):
        raise MeetlatError(f"{path.name} holds no list of JSON objects, or is too long to look into; give JSON lines.")
    nested = any(isinstance(v, dict) for made in whole[:200] if isinstance(made, dict) for v in made.values())
    form = {"kind": "json"} | ({"rows": rows} if rows else {}) | ({"flatten": True} if nested else {})
    return Export("JSON", form)


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


# --- the rows ------------------------------------------------------------------------------------


def read(settings: Settings, path: Path, export: Export, decimal: str, rows: int = ROWS) -> list[Column]:
    """The columns of the first rows, read as a refresh would read them."""
    form: Any = TypeAdapter(Format).validate_python(export.form)
    contract = Contract.model_construct(format=form, decimal=decimal, columns={}, discard=[])
    with engine.connect(settings, settings.state, alone=True) as con, open_text(con, path, contract) as text:
        cells = ", ".join(f"nullif(trim(c{i}, ' ' || chr(9) || chr(160)), '')" for i in range(len(text.columns)))
        found = con.execute(f"SELECT {cells} FROM {text.relation} WHERE fault IS NULL LIMIT {rows}").fetchall()
        names = list(text.columns)
    labels = [cleaned(label) for label in export.labels]
    about, codes = _dictionary(path, export)
    columns = []
    for place, name in enumerate(names):
        counts = Counter(row[place] for row in found if row[place] is not None)
        label = about.get(name) or (labels[place] if place < len(labels) else "")
        columns.append(Column(name, len(found), counts, label, codes.get(name, {})))
    return columns


def _dictionary(path: Path, export: Export) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Texts of variables and labels of codes, where the file brings them along."""
    if export.form["kind"] not in ("spss", "stata") or path.suffix.lower() in (".gz", ".zip"):
        return {}, {}
    import pyreadstat

    reading = pyreadstat.read_sav if export.form["kind"] == "spss" else pyreadstat.read_dta
    try:
        _, meta = reading(str(path), metadataonly=True)
    except (pyreadstat.ReadstatError, UnicodeDecodeError):
        return {}, {}
    about = {name: cleaned(text) for name, text in meta.column_names_to_labels.items() if text}
    codes = {
        name: {_code(code): cleaned(str(label)) for code, label in of.items()}
        for name, of in meta.variable_value_labels.items()
    }
    return about, codes


def _code(code: Any) -> str:
    return str(int(code)) if isinstance(code, float) and code.is_integer() else str(code)


def _decimal(settings: Settings, path: Path, form: Mapping[str, Any]) -> str:
    """The decimal mark: the one that more columns are written with. Real numbers have a point."""
    if form["kind"] != "csv":
        return "."
    columns = read(settings, path, Export("", dict(form)), ".", 500)
    marks = Counter(mark for column in columns if (mark := _mark(column)))
    if marks[","] == marks["."]:
        return "," if form["delimiter"] == ";" else "."
    return "," if marks[","] > marks["."] else "."


def _mark(column: Column) -> str | None:
    """The decimal mark of a column of small numbers, if it has one."""
    for mark in (",", "."):
        numbers = [v for v in column.counts if re.fullmatch(rf"-?\d{{1,3}}(\{mark}\d{{1,4}})?", v)]
        if numbers and any(mark in v for v in numbers) and len(numbers) >= 0.7 * len(column.counts):
            return mark
    return None


def _refuse_headless(path: Path, export: Export, columns: Sequence[Column]) -> None:
    """Headings that are somebody's answers must not end up in a contract."""
    table = export.form["kind"] in ("csv", "xlsx")  # elsewhere an id may be a number
    data = table * sum(bool(re.fullmatch(r"[\d.,:;/ -]+|.*\S@\S+\.\S+.*", column.id)) for column in columns)
    if any("@" in column.id and EMAIL.search(column.id) for column in columns) or data > len(columns) / 2:
        raise MeetlatError(
            f"{path.name}: its first row looks like answers, not like headings; have it exported with headings."
        )


# --- what values and headings tell ---------------------------------------------------------------

EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
PERSONAL_VALUES = {
    "holds e-mail addresses": EMAIL,
    "holds IP addresses": re.compile(r"\d{1,3}(\.\d{1,3}){3}|(?=.*::|(.*:){5})[0-9a-fA-F:]{6,}"),
    "holds phone numbers": re.compile(r"(\+|00?)[1-9][\d ().-]{7,14}\d"),
    "holds postcodes": re.compile(r"[1-9]\d{3} ?[A-Z]{2}( \d+.*)?"),
    "holds links": re.compile(r"https?://.*", re.DOTALL),
    "holds tokens": re.compile(r"[0-9a-fA-F-]{32,}|(?=\S*\d)(?=\S*[A-Za-z])[\w-]{20,}"),
    "holds coordinates": re.compile(r"-?\d{1,3}\.\d{5,}(, ?-?\d{1,3}\.\d{5,})?"),
}
ALWAYS_PERSONAL = {  # heading words → what it is, whatever the values
    "an IP address": r" ip ?(address|adres|adresse|addr)? | ipaddr ",
    "coordinates": r" (latitude|longitude|lat|lon|lng|breitengrad|langengrad|coordinat\w*|location) ",
    "a token or link": r" (\w*token\w*|\w*guid|uuid|edit url|url|link|href|refurl|permalink|network id|cookie) ",
    "a date of birth": r" (geboorte\w*|birth\w*|dob|geburts\w*|birthday) ",
    "a national or bank number": r" (bsn|iban|sofinummer|ssn|rekeningnummer|passport|paspoort\w*) ",
    "an address": r" (huisnummer|huisnr|house number|straat|street|adres|address|strasse|woonplaats|city) ",
}
PERSONAL = {
    "an e-mail address": r" e ?mail\w*( address| adres)? | recipient email | correo electronico ",
    "a name": r" (\w*naam|name|names|\w*vorname|nachname|surname|first name|last name|nombre|contactpersoon|contact) ",
    "a phone number": r" (tel\w*|phone\w*|mobiel\w*|mobile|gsm|fax|06) ",
    "a postcode": r" (postcode\w*|postal code|zip( ?code)?|plz|postleitzahl) ",
    "a reference to a person": r" (external (data )?reference|custom data( \d+)?|external url|recipient \w+) ",
    "a device": r" (browser|user agent|operating system|resolution|device) ",
    "an age or gender": r" (leeftijd|age|geslacht|gender|sex|nationali\w+) ",
}
FREE_TEXT = (  # in any heading
    r" (toelichting\w*|opmerking\w*|comments?|remarks?|waarom|why|explain\w*|omschrij\w*|describe|tell us|open ended"
    r"|please specify|anders namelijk|namelijk|topics|q\d+ sentiment|verbatim|bemerkung\w*|kommentar\w*|anything else"
    r"|in your own words|eigen woorden|qid\w+ text) "
)
FREE_TEXT_SHORT = (  # in a short heading
    r" (feedback|suggest\w*|anders|reasons?|reden\w*|verbeter\w*|improve\w*|tips?|bericht\w*|messages?|text|tekst"
    r"|other|notes?|answer|antwoord) "
)
BOOKKEEPING = (
    r" (last ?page|start ?language|seed|start ?date|date ?stamp|progress|duration|user language|distribution channel"
    r"|duur|page submit|first click|last click|click count|browser|version|operating system|resolution|time|language"
    r"|interview ?time|collector id|response ?set|start time|begintijd|last modified time|total points|points"
    r"|points .*|q nps group|nps group|startdatum) "
)
NO_GRADE = (
    r" (maand|month|week|day|dag|hours?|uur|uren|age|leeftijd|years?|jaar|jaren|nr|number|aantal|count|how many"
    r"|hoeveel|how often|hoe vaak|duration|duur|minutes|minuten|last ?page|seed|progress|id|page|times|weeks|maanden"
    r"|months|days|dagen|omvang|size|quota|rank|rang\w*) "
)
RECOMMENDS = r" (nps\w*|recommend\w*|\w*aanbevel\w*|aanraden|weiterempfehl\w*|0 10|0 t m 10|0 to 10) |how likely"
GRADES = (
    r" (cijfer\w*|rapportcijfer\w*|grade\w*|rate|rating\w*|score\w*|beoordel\w*|waardeer\w*|tevreden\w*|satisf\w*|note"
    r"|1 10|1 t m 10|1 to 10|werkgever|werkomgeving|employer|zufrieden\w*|bewert\w*) "
)
COMPLAINT = r" (klacht\w*|complaint\w*|beschwerde\w*) "
EMPLOYER = r" (werkgever\w*|werkomgeving|employer|working environment|work environment|medewerkers?tevreden\w*) "

RESPONSE = (  # in this order
    r" record (id|number) | unique id | response id | respons id | responseid | respid | respons ?(nummer|nr) "
    r"| resp(onse)? ?(number|nr|no) ",
    r" respondent id | # | token | formulier\w* | request id | interview ?id | interview ?(nummer|nr) | survey ?id ",
    r" id | respondent(nummer|nr)? | record | case ?id | volgnummer | serial\w* | key | uuid ",
)
RESPONDENT = (
    r" (klant ?(nummer|nr|id)|customer ?(id|number)|client ?(id|nummer)|respondent ?(id|nummer|nr)?|person ?(id|nr)"
    r"|panel ?(id|lid)?|panelist\w*|relatie ?(nummer|nr|id)|lid ?(nummer|nr)|buyerid|buyer ?id|user ?id|debiteur\w*"
    r"|medewerker ?(nummer|nr|id)?|requester id|author|contact id) "
)
ORGANISATION = (
    r" (organi[sz]ati\w+|organisatie\w*|bedrijf\w*|company|leverancier\w*|supplier|gemeente|instelling\w*"
    r"|corporatie\w*|account|deelnemer\w*|brand|merk|unternehmen) "
)
CHANNEL = r" (kanaal|contactkanaal|channel|medium|contactwijze|touch ?point|contact via|media type|kanal) "
SECTOR = r" (sector|branche|industry|industrie|trade|bedrijfstak) "
WEIGHT = r" (weeg ?factor|weging|gewicht|weight|wt|weegfactor|wgt) "
STATUS = (
    r" (\w*status|disposition\w*|disp ?code|completion|completed|compleet|kwaliteit|quality|response type|valid\w*) "
)
DATES = (  # in this order
    r" recorded ?date ",
    r" submit ?date( utc)? | date submitted | completion time | voltooiingstijd | tijd van voltooien "
    r"| end ?date | einddatum | hora de finalizacion | endzeit | fertigstellungszeit | heure de fin ",
    r" timestamp | tijdstempel | zeitstempel | horodateur | marca temporal | date (created|modified) ",
    r" (contact|invul|antwoord|interview|enquete|meet)datum | ingevuld\w* | response (received at|date) | placed at "
    r"| (created|submitted|completed|answered|updated) at ",
    r" date | datum | \w*datum | date of \w+ | day | \w+date ",
)
CHANNELS = {
    "physical": r" (balie\w*|desk|counter|fysiek\w*|physical\w*|winkel\w*|bezoek\w*|visit|loket|shop|store|in person) ",
    "phone": r" (tel\w*|phone|call|voice|belle\w*) ",
    "email": r" (e ?mails?) ",
    "web": r" (web\w*|site|internet|online|app|portal|portaal) ",
    "chat": r" (\w*chat\w*|chatbot|whats ?app|messag\w+) ",
    "social": r" (social\w*|sociale media|twitter|facebook|x|instagram) ",
    "post": r" (post|brief|brieven|letter|mail by post) ",
}
KEEP = r" (complete|completed|compleet|voltooid|finished|afgerond|valid|geldig|ok|goed|beendet|31|32|ingevuld) "
EXCLUDE = {
    "test_row": r" (test\w*|proef\w*) ",
    "preview": r" (preview|survey preview|voorbeeld) ",
    "spam": r" (spam) ",
    "speeder": r" (speeder\w*|te snel( ingevuld)?|too fast) ",
    "over_quota": r" (over ?quota|quota ?full|quota vol) ",
    "screened_out": r" (screen\w*|disqualified|buiten doelgroep) ",
    "not_completed": r" (partial|incomplete|incompleet|afgebroken|onvolledig|started|gedeeltelijk|deels) ",
}
DONT_KNOW = (
    r" (weet (ik )?(het )?niet( geen mening)?|geen (mening|idee)|don t know|dont know|do not know|no opinion|dk"
    r"|weet niet \w+ \w+|unknown|onbekend|weiss (ich )?nicht|not sure|unsure|kan ik niet beoordelen|no idea) "
)
NOT_ASKED = r" (n v t|nvt|niet van toepassing|n a|na|not applicable|niet gevraagd|not asked|skipped|entfallt) "
REFUSED = (
    r" (wil (ik )?(dit )?niet zeggen|(i )?(would )?(prefer|rather) not (to )?say|geen antwoord|no answer|refused"
    r"|geweigerd|weigert|keine angabe) "
)
MISSING_CODES = {
    "dont_know": ("11", "88", "98", "99", "888", "998", "999", "9999"),
    "refused": ("97", "997"),
    "not_asked": ("-1", "-2", "-7", "-8", "-9", "-66", "-77", "-88", "-99", "-999", "96", "996"),
}
FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "iso", "%d-%m-%Y", "%d-%m-%Y %H:%M", "%d-%m-%Y %H:%M:%S",
    "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%y", "%m/%d/%y %H:%M", "%d/%m/%y", "%d/%m/%y %H:%M", "%d-%m-%y", "%d-%m-%y %H:%M", "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %I:%M:%S %p", "%Y%m%d",
)  # fmt: skip


def is_text(pattern: str, text: str) -> bool:
    """Whether the whole of a value says this."""
    return re.fullmatch(pattern, words(text)) is not None


def means(pattern: str, column: Column) -> bool:
    return re.search(pattern, column.words) is not None


def missing(value: str, label: str) -> str | None:
    """Why a value is likely to be no answer, or None."""
    for reason, pattern in (("dont_know", DONT_KNOW), ("not_asked", NOT_ASKED), ("refused", REFUSED)):
        if is_text(pattern, label):
            return reason
    return next((reason for reason, codes in MISSING_CODES.items() if value in codes), None)


def personal_name(column: Column, kinds: Mapping[str, str]) -> str | None:
    """What its heading says that a column holds of a person. Of a whole question only the last words tell."""
    name = words(column.id).split()
    short = " " + " ".join(name if len(name) <= 5 else name[-3:]) + " "
    if re.search(ORGANISATION, short) or re.search(CHANNEL, short):
        return None
    return next((what for what, pattern in kinds.items() if re.search(pattern, short)), None)


def is_free_text(column: Column) -> bool:
    """Whether its heading says that people wrote here in their own words."""
    if all(re.fullmatch(r"[\d.,-]{1,6}", v) or v in column.labels for v in column.counts):
        return False
    return bool(
        re.search(FREE_TEXT, column.words) or (column.is_short and re.search(FREE_TEXT_SHORT, words(column.id)))
    )


# --- what each column seems to be ----------------------------------------------------------------


@dataclass(frozen=True)
class Role:
    """One role of a column, as lines of YAML; a line that begins with # is for people."""

    lines: list[str]


@dataclass(frozen=True)
class Grades:
    """The answers of a graded question, sorted out."""

    numbers: Counter[float]
    texts: dict[str, float]  # `10 - very likely` → 10
    missing: dict[str, list[str]]  # reason → values
    rest: int  # answers that would be quarantined


class Proposal:
    """What is proposed for every column: roles for some, and a reason to discard the others."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        export: Export,
        columns: Sequence[Column],
        decimal: str,
        lists: Mapping[str, reference.Rows],
    ) -> None:
        self.con, self.export, self.decimal, self.lists = con, export, decimal, lists
        self.columns = list(columns)
        self.roles: dict[str, list[Role]] = {}
        self.dates: dict[str, list[str]] = {}  # the date formats of a column, once looked at
        self.notes: list[str] = []  # questions about columns that do not stand under one
        self.rows = max((column.rows for column in columns), default=0)
        self._find_ids()
        self._find_statuses()
        self._find_date()
        self._find_codes()
        self.free = [c for c in self.columns if c.id not in self.roles]
        self._find_questions()
        self.has_date = any("role: date" in role.lines for roles in self.roles.values() for role in roles)
        self.has_organisation = any("role: organisation" in r.lines for of in self.roles.values() for r in of)
        self.discard = [(c.id, self._seems(c)) for c in self.columns if c.id not in self.roles]

    def _add(self, column: Column, *lines: str) -> None:
        self.roles.setdefault(column.id, []).append(Role(list(lines)))

    def _left(self) -> list[Column]:
        return [column for column in self.columns if column.id not in self.roles]

    # ids

    def _find_ids(self) -> None:
        found = None
        for pattern in RESPONSE:
            fitting = [c for c in self.columns if re.fullmatch(pattern, words(c.id)) and c.filled > 0.9 * c.rows]
            found = found or next((c for c in fitting if c.unique), None)
            found = found or next((c for c in fitting if len(c.counts) > 0.8 * c.rows), None)
        if found is None and self.export.tool.startswith("Google"):
            found = self.columns[0]
            if not found.unique:
                found = None
            else:
                self._add(
                    found, "role: response",
                    "# the form gives no id: two responses in the same second would count as one, the last",
                )  # fmt: skip
        elif found is not None:
            repeated, blank = found.filled - len(found.counts), found.rows - found.filled
            said = (
                [f"# {repeated} of the {found.rows} rows read repeat an earlier id; the last counts"]
                if repeated
                else []
            )
            said += [f"# blank in {blank} of the rows read: those are refused"] if blank else []
            self._add(found, "role: response", *said)
        if found is None:
            self.notes.append(
                "which column holds the id of the response? None was recognised. Take it out of `discard` and write it "
                "here as `NAME: {role: response}`. Every response needs its own."
            )
        person = next(
            (c for c in self._left() if re.fullmatch(RESPONDENT, words(c.id)) and c.filled > 0.5 * c.rows), None
        )
        if person and len(person.counts) > CODED / 4:
            self._add(person, "role: respondent")

    # which rows count

    def _find_statuses(self) -> None:
        tool = self.export.tool
        for column in self._left():
            name = words(column.id).strip()
            if tool.startswith("Qualtrics") and name == "status":
                self._status(column, {"0", "4", "16", "32", "ip address"}, {"1": "preview", "survey preview": "preview",
                             "2": "test_row", "survey test": "test_row", "8": "spam", "spam": "spam"})  # fmt: skip
            elif tool.startswith("Qualtrics") and name == "finished":
                self._status(column, {"1", "true"}, {"0": "not_finished", "false": "not_finished"})
            elif tool.startswith("LimeSurvey") and name in ("submitdate", "date submitted"):
                self._add(column, "role: status", "keep: any", 'exclude: {"": not_completed}')
            elif re.search(STATUS, words(column.id)) and 1 <= len(column.counts) <= 8:
                keep = {v.lower() for v in column.counts if is_text(KEEP, column.label_of(v))}
                exclude = {
                    v.lower(): reason
                    for v in column.counts
                    for reason, pattern in EXCLUDE.items()
                    if is_text(pattern, column.label_of(v))
                }
                if keep | set(exclude):
                    self._status(column, keep, exclude)

    def _status(self, column: Column, keep: set[str], exclude: dict[str, str]) -> None:
        """An allow-list of what is known; a value that is not known is a question."""
        values = [v for v, _ in column.counts.most_common()]
        kept = [v for v in values if v.lower() in keep]
        numeric = all(v.lstrip("-").isdigit() for v in values)
        for value in sorted(keep, key=lambda v: (len(v), v)):  # the normal values that were not seen yet
            if value.isdigit() == numeric and value not in [v.lower() for v in kept] and numeric:
                kept.append(value)
        out = {v: why for v in values if (why := exclude.get(v.lower()))}
        seen = {v.lower() for v in values}
        if numeric or "true" in keep:
            out |= {v: w for v, w in exclude.items() if v.isdigit() == numeric and v not in seen}
        counted = ", ".join(f"{_plain(column.label_of(v))} ({n})" for v, n in column.counts.most_common())
        lines = ["role: status", f"# seen: {counted}"]
        unknown = [v for v in values if v.lower() not in keep and v.lower() not in exclude]
        lines.append(f"keep: {_flow(kept)}" if kept else "# QUESTION: which values are whole responses?\nkeep:")
        if unknown:
            lines.append(
                "# QUESTION: do these count? Move to `keep` what does; give the others a reason, such as test_row"
            )
            lines.append(
                "exclude:\n" + "\n".join(f"  {scalar(v)}: {out.get(v, '')}".rstrip() for v in [*out, *unknown])
            )
        elif out:
            lines.append(f"exclude: {_flow(out)}")
        self._add(column, *lines)

    # when

    def _find_date(self) -> None:
        candidates = [c for c in self.columns if self._formats(c)] if self.rows else []
        chosen = None
        for pattern in DATES:
            chosen = chosen or next((c for c in candidates if re.search(pattern, words(c.id))), None)
        plain = [c for c in candidates if not means(ALWAYS_PERSONAL["a date of birth"], c)]
        if chosen is None and len(plain) == 1 and plain[0].id not in self.roles:
            chosen = plain[0]
        if chosen is None:
            return
        formats = self._formats(chosen)
        # a cell with a real date loses its time at midnight, so the form that reads both is safer
        first = "iso" if "iso" in formats and self.export.form["kind"] == "xlsx" else formats[0]
        swapped = first.replace("%m", "%?").replace("%d", "%m").replace("%?", "%d")
        lines = ["role: date"]
        if first.startswith(("%d/", "%m/")) and swapped in formats and not self.export.tool.startswith("SurveyMonkey"):
            lines.append(f'# QUESTION: day or month first? All dates can be read as "{first}" and as "{swapped}"')
            lines.append("format:")
        elif first.startswith("%d/") and swapped in formats:
            lines.append(f'format: "{swapped}"')
        elif first != "%Y-%m-%d":
            lines.append(f"format: {scalar(first)}")
        completed_only = any("keep: any" in role.lines for role in self.roles.get(chosen.id, []))
        if chosen.filled < chosen.rows and not completed_only:
            lines.append(f"# blank in {chosen.rows - chosen.filled} of the rows read: those are refused")
        self._add(chosen, *lines)

    def _formats(self, column: Column) -> list[str]:
        """The date formats that fit (nearly) all values, best first."""
        if column.id not in self.dates:
            self.dates[column.id] = self._fitting_formats(column)
        return self.dates[column.id]

    def _fitting_formats(self, column: Column) -> list[str]:
        values = list(column.counts)[:500]
        if not values or not all(6 <= len(v) <= 40 for v in values[:20]) or not re.search(r"\d", values[0]):
            return []
        tried = []
        for form in FORMATS:
            if form == "iso":
                moment = (
                    "CASE WHEN regexp_matches(v, '^[0-9]{4}-[0-9]{2}-[0-9]{2}') THEN try_cast(v AS TIMESTAMPTZ) END"
                )
            else:
                moment = f"try_strptime(v, {quoted(form)})"
            tried.append(f"count(*) FILTER (year({moment}) BETWEEN 1970 AND 2100)")
        found = self.con.execute(f"SELECT {', '.join(tried)} FROM (SELECT unnest($1) AS v)", [values]).fetchone() or ()
        best = max(found, default=0)
        if best < 0.9 * len(values):
            return []
        return [form for form, n in zip(FORMATS, found, strict=True) if n == best]

    # codes

    def _find_codes(self) -> None:
        for column in self._left():
            name = words(column.id)
            if not column.is_short or not column.filled or self._formats(column) or is_free_text(column):
                continue
            if re.search(ORGANISATION, name) and not self._has("organisation"):
                self._organisation(column)
                continue
            if self._personal(column) or len(column.counts) > CODED or max(map(len, column.counts)) > LONGEST:
                continue
            values = [*column.counts, *(v for v in column.labels if v not in column.counts)]
            if re.search(CHANNEL, name) and "distribution" not in name and not self._has("channel"):
                rules = CHANNELS.items()
                found = {v: c for v in values for c, rule in rules if re.search(rule, words(column.label_of(v)))}
                self._coded(column, "channel", values, found)
            elif re.search(SECTOR, name) and not self._has("sector"):
                known = {
                    text.strip().lower(): row["sector_code"]
                    for row in self.lists["sectors"]
                    for text in (row["sector_code"], row["label_en"], row["label_nl"])
                }
                found = {v: code for v in values if (code := known.get(column.label_of(v).strip().lower()))}
                self._coded(column, "sector", values, found)

    def _organisation(self, column: Column) -> None:
        """Our own codes, or a few names that a person must give a code."""
        known = {row["organisation_code"] for row in self.lists["organisations"]}
        ours = sum(n for v, n in column.counts.items() if v in known)
        if ours >= 0.8 * column.filled:
            other = column.filled - ours
            said = f"# {other} rows hold a code that reference/organisations.csv lacks; add it there first"
            self._add(column, "role: organisation", *([said] if other else []))
        elif len(column.counts) <= CODED and len(column.counts) <= 0.5 * column.filled:
            self._coded(column, "organisation", list(column.counts), {}, needed=False)

    def _has(self, role: str) -> bool:
        return any(f"role: {role}" in r.lines for roles in self.roles.values() for r in roles)

    def _coded(
        self, column: Column, role: str, values: Sequence[str], found: Mapping[str, str], needed: bool = True
    ) -> None:
        """A column of codes. Without any value that is known it is none, if one is `needed`."""
        if needed and not found:
            return
        lines = [f"role: {role}"]
        if unknown := [v for v in values if v not in found]:
            blanks = f"which codes of reference/{role}s.csv stand for the blanks below? Or discard the column"
            lines.append(f"# QUESTION: {blanks}")
        rows = [f"  {scalar(v)}: {found.get(v, '')}".rstrip() + self._aside(column, v) for v in [*found, *unknown]]
        lines.append("values:\n" + "\n".join(rows))
        self._add(column, *lines)

    @staticmethod
    def _aside(column: Column, value: str) -> str:
        return f" # {_plain(column.labels[value])}" if value in column.labels else ""

    # grades

    def _find_questions(self) -> None:
        by_row = self._has("channel")
        for column in self.free:
            if personal_name(column, ALWAYS_PERSONAL):
                continue
            grades = self._grades(column)
            if grades is None:
                continue
            hinted = means(RECOMMENDS, column) or means(GRADES, column)
            zero_to_ten = means(RECOMMENDS, column) or (0 in grades.numbers and not means(GRADES, column))
            whole = (
                sum(n for number, n in grades.numbers.items() if number.is_integer()) > 0.95 * grades.numbers.total()
            )
            measure = ["measure: recommendation"] if zero_to_ten and whole else self._graded(column, by_row)
            lines = ["role: question", *measure]
            if not hinted:
                likely = measure[0].removeprefix("measure: ").split()[0]
                asked = f"QUESTION: is it a grade? Its values are, its heading is not. If so, {likely}; else discard it"
                lines = ["role: question", f"# {asked}", "measure:", *measure[1:]]
            elif 0 in grades.numbers and not (zero_to_ten and whole):
                lines.append("# 0 was seen too: the measure begins at 1, so a 0 goes to the quarantine")
            if grades.texts:
                lines.append("values:\n" + "\n".join(f"  {scalar(t)}: {n:g}" for t, n in grades.texts.items()))
            for reason, values in grades.missing.items():
                seen = ", ".join(f"{_plain(v)} ({column.counts[v]}{self._said(column, v)})" for v in values)
                lines.append(f"# {reason}: {_flow(values)} # uncomment if it is; seen: {seen}")
            if grades.rest:
                lines.append(f"# {grades.rest} other values in the rows read would go to the quarantine")
            self._add(column, *lines)

    @staticmethod
    def _said(column: Column, value: str) -> str:
        return f": {_plain(column.labels[value])}" if value in column.labels else ""

    def _graded(self, column: Column, by_row: bool) -> list[str]:
        if means(COMPLAINT, column):
            return ["measure: complaint_handling"]
        if means(EMPLOYER, column):
            return ["measure: employee_satisfaction"]
        named = [code for code, pattern in CHANNELS.items() if means(pattern, column)]
        if by_row:
            return ["measure: channel_rating", "channel: row # the grade is for the channel of the same row"]
        if len(named) == 1:
            return ["measure: channel_rating", f"channel: {named[0]} # by its heading"]
        return ["measure: satisfaction # or another of reference/measures.csv"]

    def _grades(self, column: Column) -> Grades | None:
        """The column as a graded question, or None if it is none: 0 to 10 or 1 to 10, whole or half."""
        numbers: Counter[float] = Counter()
        texts: dict[str, float] = {}
        none: dict[str, list[str]] = {}
        rest = 0
        for value, n in column.counts.items():
            number = self._number(value)
            lead = re.fullmatch(r"(10|\d)\s*[-–—=:(.]\s*\D+", value)
            if number is not None and 0 <= number <= 10 and (reason := missing("", column.label_of(value))):
                none.setdefault(reason, []).append(value)
            elif number is not None and 0 <= number <= 10:
                numbers[number] += n
            elif lead and len(value) <= LONGEST:
                texts[value] = float(lead[1])
                numbers[float(lead[1])] += n
            elif (reason := missing(value, column.label_of(value))) and len(value) <= LONGEST:
                none.setdefault(reason, []).append(value)
            else:
                rest += n
        answers = numbers.total()
        if not answers or sum(n for number, n in numbers.items() if number * 2 % 1) > 0.1 * answers:
            return None
        hinted = means(RECOMMENDS, column) or means(GRADES, column)
        if means(NO_GRADE, column) and not hinted:
            return None
        top = 9 if not hinted else 8 if answers >= 30 else 7
        high = sum(n for number, n in numbers.items() if number >= top)
        if high < 0.02 * answers or sum(n for x, n in numbers.items() if x > 5) < 0.2 * answers:
            return None  # a shorter scale
        if rest > (0.1 if hinted else 0) * column.filled or (not hinted and len(numbers) < min(3, answers)):
            return None
        if texts:  # every other number may come, too
            lowest = 0 if 0 in numbers or means(RECOMMENDS, column) else 1
            plain = {str(n): float(n) for n in range(lowest, 11) if n not in texts.values()}
            texts = dict(sorted((texts | plain).items(), key=lambda item: item[1]))
        return Grades(numbers, texts, none, rest)

    def _number(self, value: str) -> float | None:
        if not re.fullmatch(rf"-?\d{{1,3}}(\{self.decimal}\d)?", value):
            return None
        return float(value.replace(",", "."))

    # the others

    def _personal(self, column: Column) -> str | None:
        """What makes a column personal, or None. A date is none by its values."""
        if what := personal_name(column, PERSONAL | ALWAYS_PERSONAL):
            return what
        if self._formats(column) or re.search(WEIGHT, words(column.id)):
            return None
        found = (what for what, pattern in PERSONAL_VALUES.items() if any(pattern.fullmatch(v) for v in column.counts))
        return next(found, "holds e-mail addresses" if any(EMAIL.search(v) for v in column.counts) else None)

    def _seems(self, column: Column) -> str:
        """What a discarded column seems to be, for the comment behind it."""
        said = (
            f"{_plain(column.label, 60)}: "
            if column.label and words(column.label).replace(" ", "") != words(column.id).replace(" ", "")
            else ""
        )
        if what := self._personal(column):
            return f"{said}personal: {what}"
        if not column.filled:
            return f"{said}empty in the rows read"
        if re.fullmatch(RESPONSE[0] + "|" + RESPONSE[1] + "|" + RESPONDENT, words(column.id)):
            return f"{said}an identifier"
        numbers = [v for v in column.counts if re.fullmatch(r"-?\d+([.,]\d+)?", v)]
        if is_free_text(column):
            mostly = sum(column.counts[v] for v in numbers) > 0.8 * column.filled
            return f"{said}free text" + (", nearly always a number" if mostly else "")
        if self._formats(column):
            return f"{said}a date or moment"
        if re.search(WEIGHT, words(column.id)):
            return f"{said}a weight? Then `{{role: weight}}` under columns"
        if parts := self._joined(column):
            return f'{said}several answers joined with ; as `{{role: options, separator: ";", options: ...}}`: {parts}'
        kept = column.is_short and re.search(BOOKKEEPING, words(column.id))
        if (
            len(column.counts) == 1
            and column.filled < column.rows
            and (shown := self._shown(next(iter(column.counts)), column))
        ):
            return (
                f"{said}one choice of several? Then `{{role: choice, group: ...}}`; ticked: {shown} ({column.filled})"
            )
        if self._few_codes(column) or (len(column.counts) <= CODED and column.labels):
            return f"{said}{'bookkeeping, ' if kept else ''}{self._values(column)}"
        if kept:
            return f"{said}bookkeeping of the tool"
        if numbers and all(v in numbers or missing(v, v) for v in column.counts):
            return f"{said}numbers, {len(numbers)} different"
        if column.unique and all(" " not in v for v in column.counts):
            return f"{said}an identifier"
        return f"{said}free text"

    def _few_codes(self, column: Column) -> bool:
        """Whether the values are codes or labels: few, short and repeated."""
        return (
            len(column.counts) <= CODED
            and len(column.counts) * 2 <= column.filled
            and sum(n for v, n in column.counts.items() if len(v) > LONGEST or len(v.split()) > 6)
            <= 0.5 * column.filled
        )

    def _joined(self, column: Column) -> str:
        """The parts of cells in which several answers are joined with `;`, as far as they may be shown."""
        if sum(n for v, n in column.counts.items() if v.endswith(";")) < 0.5 * column.filled:
            return ""
        parts = Counter(
            p.strip() for v, n in column.counts.items() for p in v.split(";") for _ in range(n) if p.strip()
        )
        if len(parts) > CODED:
            return ""
        return ", ".join(f"{_plain(p)} ({n})" for p, n in parts.most_common() if n > 1 and len(p) <= LONGEST)

    def _values(self, column: Column) -> str:
        """The distinct values with how often each was seen. Texts that were seen once may be somebody's own words."""
        if len(column.counts) > CODED:
            return f"{len(column.counts)} different values"
        numeric = all(re.fullmatch(r"-?\d{1,6}", v) for v in column.counts)
        order = sorted(column.counts, key=(lambda v: (int(v), v)) if numeric else (lambda v: (-column.counts[v], v)))
        shown = [(v, text) for v in order if (text := self._shown(v, column))]
        said = ", ".join(f"{text} ({column.counts[v]})" for v, text in shown)
        hidden = len(order) - len(shown)
        return ("coded: " + said if said else "coded") + (f"; {hidden} not shown: long, or seen once" if hidden else "")

    @staticmethod
    def _shown(value: str, column: Column) -> str:
        if value in column.labels:
            return f"{_plain(value)} = {_plain(column.labels[value])}"
        code = re.fullmatch(r"-?\d{1,6}([.,]\d{1,2})?|[A-Za-z]{0,2}\d{1,2}", value)
        return _plain(value) if len(value) <= LONGEST and (code or column.counts[value] > 1) else ""


# --- the text ------------------------------------------------------------------------------------

ORDER = (  # what a key looks like, the finest first → how the contract says it
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


def written(path: Path, export: Export, decimal: str, proposal: Proposal) -> str:
    """The contract as text."""
    lists = proposal.lists
    out = [
        "# yaml-language-server: $schema=../../docs/contract.schema.json",
        *note(
            f"Drafted by `meetlat draft` from {_plain(path.name, 200)}, which looks like {export.tool}; "
            f"rows read: {proposal.rows:,}. Everything is a proposal: read every line. Behind each QUESTION stands a "
            "blank to fill in; `meetlat check` refuses this contract until all are."
        ),
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
    if proposal.has_organisation:
        out += [*ask("what was drawn or takes part: organisation or respondent?"), "sampling_unit:"]
    else:
        out.append("sampling_unit: respondent # no column with the organisation rated was recognised")
    out.append("# sector: ict # if all responses are about one sector; a code of reference/sectors.csv")
    if not proposal.has_date:
        out += [
            *ask("when was the fieldwork? No column with a date was recognised. The code is such as wave-2024"),
            "wave:", "  code:", "  start:", "  end:",
        ]  # fmt: skip
    out += ["", *_files(path)]
    for remark in export.remarks:
        out += note(remark)
    out.append(f"format: {_flow(export.form)}")
    if decimal != ".":
        out.append(f"decimal: {scalar(decimal)}")
    if export.time_zone:
        out.append(f"time_zone: {export.time_zone} # of the user who exported")
    out += ["", "columns:"]
    for question in proposal.notes:
        out += [f"  {line}" for line in ask(question)]
    for column in proposal.columns:
        if column.id in proposal.roles:
            out += _mapped(column, proposal.roles[column.id])
    if not any("role: question" in role.lines for roles in proposal.roles.values() for role in roles):
        out += [
            f"  {line}"
            for line in ask(
                "which columns are questions? No grades from 0 or 1 to 10 were recognised. Take them out of `discard`, "
                "as `NAME: {role: question, measure: ..., values: {...}}`"
            )
        ]
    if proposal.discard:
        out += ["", *note("Read past, never stored. Move up what is a question after all."), "discard:"]
        for name, seems in proposal.discard:
            line = f"  - {scalar(name)} # {seems}"
            out += [line] if len(line) <= WIDE else [*(f"  {text}" for text in note(seems)), f"  - {scalar(name)}"]
    return "\n".join(out) + "\n"


def _mapped(column: Column, roles: Sequence[Role]) -> list[str]:
    key = _key(column.id)
    out = (
        [f"  # {_plain(column.label, 100)}"]
        if column.label and words(column.label).replace(" ", "") != words(column.id).replace(" ", "")
        else []
    )
    if len(roles) == 1 and len(roles[0].lines) <= 2 and not any(c in "".join(roles[0].lines) for c in "#\n"):
        return [*out, f"  {key}: {{{', '.join(roles[0].lines)}}}"]
    out.append(f"  {key}:")
    for role in roles:
        lines = [part for line in role.lines for text in line.split("\n") for part in _within(text)]
        if len(roles) == 1:
            out += [f"    {line}" for line in lines]
        else:
            out += [f"    {'- ' if i == 0 else '  '}{line}" for i, line in enumerate(lines)]
    return out


def _within(line: str) -> list[str]:
    """A comment over several lines if it is long; a proposal in a comment stays on one."""
    return note(line[2:]) if line.startswith("# ") and len(line) > WIDE and " # " not in line[2:] else [line]


def _files(path: Path) -> list[str]:
    """The pattern of the names, and the order key in them."""
    name = path.name
    for looks, pattern in ORDER:
        if found := re.search(rf"(?<!\d)({looks})(?!\d)", name):
            order = f"({pattern})"
            first = re.search(order, name)
            if first is None or first.group(1) != found[1]:
                order = rf"(?<!\d)({pattern})(?!\d)"
            files = _glob(name[: found.start(1)]) + "*" + _glob(name[found.end(1) :])
            return [
                f"files: {scalar(files, quote=True)}",
                "delivery:",
                "  mode: append # a repeated response replaces the earlier; snapshot: the newest file is everything",
                f"  order: '{order}' # out of the file name; compared as text",
            ]
    stem = _stem(name)
    ending = name[len(stem) :]
    return [
        f"files: {scalar('*' + _glob(ending), quote=True)}",
        "delivery:",
        "  mode: append # a repeated response replaces the earlier; snapshot: the newest file is everything",
        *(
            f"  {line}"
            for line in ask(
                f"what tells which file is newer? This name has no date that sorts. Rename it, such as {stem}_2024-03"
                f"{ending}, and give the pattern of the key, such as '(\\d{{4}}-\\d{{2}})'"
            )
        ),
        "  order:",
    ]


def _stem(name: str) -> str:
    return re.sub(r"(\.[A-Za-z][A-Za-z0-9]{0,8}){1,2}$", "", name)


def _glob(text: str) -> str:
    return re.sub(r"[\[\]*?]", "?", text)


def _codes(lists: Mapping[str, reference.Rows], name: str) -> str:
    key = reference.LISTS[name][0]
    return ", ".join(row[key] for row in lists[name])


def ask(*parts: str) -> list[str]:
    first, *others = note("QUESTION: " + " ".join(part for part in parts if part))
    return [first, *(f"#   {line[2:]}" for line in others)]


def note(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, WIDE - 8, break_long_words=False, break_on_hyphens=False)]


def _plain(text: str, most: int = LONGEST) -> str:
    """A text that fits in a comment on one line."""
    one = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return one if len(one) <= most else one[: most - 3].rstrip() + "..."


def scalar(value: Any, quote: bool = False) -> str:
    """A value as YAML on one line, with quotes only where YAML would read something else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    simple = re.fullmatch(r"[\w(][\w .()/+&'?-]*", value) and not value.endswith(" ") and not quote
    if simple and ": " not in value and " #" not in value and yaml.safe_load(value) == value:
        return value
    if not re.search(r"['\\]", value) and "\\" in value:
        return f"'{value}'"
    text = yaml.dump(value, default_style='"', allow_unicode=True, width=float("inf"))
    return str(text).strip()


def _key(name: str) -> str:
    """A column's name as a key; YAML takes a longer one only behind a question mark."""
    key = scalar(name)
    return key if len(key) < 1000 else f"? {key}\n  "


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(v) for v in value) + "]"
    return scalar(value)
