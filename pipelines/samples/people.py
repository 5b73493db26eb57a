"""Invented people: names, addresses that nobody can own, and the free text they leave.

E-mail domains end in .invalid (RFC 2606), postcodes start with 0 and phone numbers with 06-00: none of
these is ever issued. Belongs here: personal values. Not here: grades, or who is asked for what.
"""

from __future__ import annotations

FIRST = (
    "Aafkelien",
    "Brechtje",
    "Céleste",
    "Dieuwke",
    "Eefje",
    "Floriaan",
    "Gijsbrecht",
    "Hadewych",
    "Ilonka",
    "Jorrit",
    "Kaatje",
    "Lieuwe",
    "Mariëlle",
    "Noémi",
    "Odilia",
    "Pepijn",
    "Quirien",
    "Renée",
    "Sjoerdtje",
    "Tjalling",
    "Ubbo",
    "Veerle",
    "Wolfert",
    "Xandrine",
    "Yfke",
    "Zoë",
)
LAST = (
    "Adderveen",
    "Bakkumhoek",
    "Cederzwaag",
    "Dorpzicht",
    "Eikelmade",
    "Fazantweg",
    "Grutterswal",
    "Heggemus",
    "Iepenslag",
    "Jagersdrift",
    "Kievitstra",
    "Lindekolk",
    "Molenvonk",
    "Nachtzwaluw",
    "Ooievaarsma",
    "Populiervoort",
    "Quakelbeek",
    "Rietgors",
    "Slootkanter",
    "Torenvalk",
    "Uilenkamp",
    "Vlierboom",
    "Wilgenroos",
    "Yzervink",
    "Zevenslag",
    "Bremgaarde",
    "Dotterbloem",
    "Elzenprop",
    "Gaspeldoorn",
    "Hazelworm",
    "Kruisbessema",
)
ACCENTS = str.maketrans("éëï", "eei")

REMARKS = (
    "Prima geholpen.",
    "Ik moest te lang wachten.",
    "Het duurde drie weken voordat ik antwoord kreeg, veel te lang!",
    "Vriendelijke medewerker; wel drie keer doorverbonden.",
    'Men zei "u wordt teruggebeld", maar dat is niet gebeurd.',
    "Er is € 25 te veel afgeschreven.",
    "Website was onvindbaar.\nUiteindelijk gebeld.",
    "Geen reactie op mijn e-mail’s van vorige maand.",
    "Eén keer bellen was genoeg, ideëel gesproken zou dat altijd zo zijn.",
    "Ik werd geholpen door {name}; dat ging heel goed.",
    "Bel mij gerust terug op {phone}, liefst ’s avonds.",
    "Mevrouw {name} heeft mijn nummer: {phone}.",
)
MESSAGES = (
    "Top geholpen vandaag!",
    "Nog steeds geen antwoord… #wachten",
    "Storing; weer een uur in de wacht.",
    "Snelle reactie via de chat, dank!",
    "Wie bij jullie leest de “post” eigenlijk?",
    "Complimenten voor {name} van de klantenservice",
    "Bel me even: {phone}",
    "€ 12,50 te veel betaald en niemand die het ziet",
)


def name(number: int) -> str:
    """The name of the respondent with this number."""
    return f"{FIRST[number % len(FIRST)]} {LAST[number // len(FIRST) % len(LAST)]}"


def first_and_last(number: int) -> tuple[str, str]:
    """A name in two columns; both long enough not to turn up by chance in the bytes of a file."""
    long = [first for first in FIRST if len(first) >= 6]
    return long[number % len(long)], LAST[number // len(long) % len(LAST)]


def address(number: int) -> str:
    """An internet address from the blocks kept for documentation (RFC 5737)."""
    block = ("192.0.2", "198.51.100", "203.0.113")[number % 3]
    return f"{block}.{number // 3 % 254 + 1}"


def mail(number: int, domain: str) -> str:
    """An e-mail address under a domain that cannot exist."""
    first, last = name(number).translate(ACCENTS).lower().split()
    return f"{first}.{last}{number}@{domain}"


def postcode(number: int) -> str:
    """A postcode of a kind never issued: it starts with 0."""
    letters = "BDGHJKLNPRTVWXZ"
    return f"0{number % 1000:03d} Q{letters[number // 1000 % len(letters)]}"


def phone(number: int) -> str:
    """A phone number of a kind never issued."""
    return f"06-00{number % 1_000_000:06d}"


def free_text(template: str, number: int) -> tuple[str, list[str]]:
    """A free text, and the personal values it names."""
    values = {"name": name(number * 17 + 5), "phone": phone(number * 31 + 7)}
    named = [value for key, value in values.items() if f"{{{key}}}" in template]
    return template.format(**values), named


def quoted(text: str) -> str:
    """A text field of a semicolon CSV, in double quotes only where needed."""
    if any(mark in text for mark in ';"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text
