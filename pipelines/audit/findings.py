"""What the audit says: findings, the most exposed cells, and what it took."""

from dataclasses import dataclass, field, fields

from pipelines.audit.outputs import Cell, FamilyKey

Place = tuple[str, FamilyKey]  # public or participants/<organisation>, and a family of its figures


@dataclass(frozen=True)
class Finding:
    """Something that can be known and should not be, or that comes closest to it."""

    output: str  # public, or participants/<organisation>
    cell: Cell | None
    attacker: str
    what: str  # what is known, such as "the mean"
    low: float | None = None
    high: float | None = None
    needed: str = ""  # what the rules ask for
    ratio: float = 0.0  # width over what is needed; below 1 it is too narrow

    @property
    def place(self) -> Place | None:
        """The table that it was found in and the family of it; None if it is of none in particular."""
        return None if self.cell is None else (self.output, self.cell.family)

    @property
    def is_of_newcomers(self) -> bool:
        """Whether it is about those who came between two publications, not about a hidden cell."""
        return self.what.endswith("newcomers")

    def __str__(self) -> str:
        known = ""
        if self.low is not None and self.high is not None:
            known = f" lies between {_number(self.low)} and {_number(self.high)}"
        place = f" of {self.cell}" if self.cell else ""
        needed = f"; {self.needed}" if self.needed else ""
        return f"{self.output}: {self.attacker} sees that {self.what}{place}{known}{needed}."


@dataclass
class Report:
    """What an audit found. A release may be handed out if it has not failed."""

    findings: list[Finding] = field(default_factory=list)
    exposed: list[Finding] = field(default_factory=list)  # hidden cells that are not: the narrowest
    notes: list[str] = field(default_factory=list)
    attacked: list[tuple[str, FamilyKey]] = field(default_factory=list)  # outputs and families, by year
    passed: list[str] = field(default_factory=list)  # fingerprints of families that gave nothing away, by year
    hidden: int = 0  # rows without figures, in all outputs
    checked: int = 0  # pairs of a hidden cell and an attacker
    held_by_rounding: int = 0  # hidden cells that exact numbers would give away
    recovered_secondary: int = 0  # hidden only to protect others; their number or mean is as good as known
    programs: int = 0  # linear programs solved
    seconds: float = 0.0

    def add(self, other: "Report") -> None:
        """Take over what another report says of other families."""
        for item in fields(self):
            if item.name != "seconds":
                setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))

    @property
    def families(self) -> int:
        """How many families of all outputs had something to attack."""
        return len(set(self.attacked))

    @property
    def failed(self) -> bool:
        return bool(self.findings)


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
