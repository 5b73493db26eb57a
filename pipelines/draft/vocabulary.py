"""The words by which headings and values are known, in Dutch, English and the other languages that we meet.

Patterns and what a single text says; nothing about columns. Every pattern is searched in `words(text)`: small
plain words with one space before and after each, so that ` naam ` is that word and no part of another.
"""

import re
import unicodedata


def words(text: str) -> str:
    """A heading as plain small words with a space before and after: `RecordedDate` → ` recorded date `."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    plain = "".join(c for c in unicodedata.normalize("NFKD", split) if not unicodedata.combining(c))
    return " " + " ".join(re.findall(r"[a-z0-9#]+", plain.lower())) + " "


def same_words(one: str, other: str) -> bool:
    """Whether two texts say the same, whatever their capitals, spaces and marks."""
    return words(one).replace(" ", "") == words(other).replace(" ", "")


def is_text(pattern: str, text: str) -> bool:
    """Whether the whole of a value says this."""
    return re.fullmatch(pattern, words(text)) is not None


def missing(value: str, label: str) -> str | None:
    """Why a value is likely to be no answer, or None."""
    for reason, pattern in (("dont_know", DONT_KNOW), ("not_asked", NOT_ASKED), ("refused", REFUSED)):
        if is_text(pattern, label):
            return reason
    return next((reason for reason, codes in MISSING_CODES.items() if value in codes), None)


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
