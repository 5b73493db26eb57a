"""The columns of what leaves the house, and of the ledger that is kept of it."""

from pipelines.disclosure.cells import Key
from pipelines.models import Column

FIGURES = [
    Column("value", "DOUBLE", "The estimate, rounded to the decimals of the measure, one at most. NULL if hidden."),
    Column("n_answers", "BIGINT", "Valid answers, rounded to base_rounding. NULL if hidden."),
    Column("n_respondents", "BIGINT", "Different people among them, rounded likewise. NULL if hidden."),
    Column("n_organisations_band", "VARCHAR", "How many organisations, as a band. NULL if hidden or if people were sampled."),
    Column("ci_low", "DOUBLE", "Lower end of the 95 % interval, rounded like value. NULL if hidden or of few people."),
    Column("ci_high", "DOUBLE", "Upper end of the 95 % interval, rounded like value. NULL if hidden or of few people."),
    Column("promoters_pct", "DOUBLE", "Promoters in whole percents; NULL for other measures, if hidden or of few people."),
    Column("detractors_pct", "DOUBLE", "Detractors in whole percents; NULL for other measures, if hidden or of few people."),
    Column("organisations_p25", "DOUBLE", "A quarter of the organisations have a lower value. NULL if hidden or of few organisations."),
    Column("organisations_p50", "DOUBLE", "Half of the organisations have a lower value. NULL if hidden or of few organisations."),
    Column("organisations_p75", "DOUBLE", "Three quarters of the organisations have a lower value. NULL if hidden or of few organisations."),
    Column("obs_status", "VARCHAR", "u: low reliability, fewer than ten effective organisations or thirty people. NULL: neither, or hidden."),
    Column("as_of", "DATE", "Last day of the answers that the figures are of."),
    Column("as_of_release", "VARCHAR", "Release in which the figures were first published as they are."),
]  # fmt: skip
COLUMNS = [
    *(Column(k, "VARCHAR", text) for k, text in zip(Key._fields, (
        "Monitor.", "Period, such as 2011-Q3, 2011, 2011-YTD-Q3 or a wave.", "Who answered.",
        "Sector at any level of the tree; all: every participant pooled.",
        "Channel rated; all: every channel pooled; not_applicable: not about a channel.", "Measure.",
    ), strict=True)),
    Column("period_type", "VARCHAR", "year, quarter, ytd, wave, and month or r12 if these are published. Use one type at a time."),
    Column("period_start", "DATE", "First day of the period."),
    Column("period_end", "DATE", "Last day of the period."),
    Column("is_total", "BOOLEAN", "Whether the row pools rows that stand here too. Leave these out before adding up."),
    Column("statistic", "VARCHAR", "What value is: mean, nps or share."),
    Column("unit", "VARCHAR", "Unit of value and of the ends of its interval."),
    Column("base", "VARCHAR", "Whose answers are counted: answered (who gave a valid answer); of questions with several answers possible also asked (who chose nothing too) or mixed (both)."),
    *FIGURES,
    Column("conf_status", "VARCHAR", "F: free; C: confidential, hidden for its own sake; D: hidden because another could be reckoned from it."),
    Column("suppression_reason", "VARCHAR", "respondents, organisations or dominance: too few, or one too large, behind it; secondary: to protect another; NULL: not hidden."),
    Column("provenance", "VARCHAR", "survey, or synthetic: describes the sample generator and nobody else."),
]  # fmt: skip

# what the next refresh must know of a figure that was published: its exact base and sum, and the row itself
LEDGER = [
    Column("organisation_code", "VARCHAR", "Whose own figure; empty: of public/."),
    *(c for c in COLUMNS if c.name in Key._fields),
    Column("exact_answers", "BIGINT", "Valid answers when it was published."),
    Column("exact_value", "DOUBLE", "The estimate when it was published."),
    *FIGURES,
]  # fmt: skip

OWN = [
    *(c for c in COLUMNS if c.name != "n_organisations_band" and not c.name.startswith("organisations_p")),
    Column("benchmark_sector_value", "DOUBLE", "What public/ shows of the sector, this organisation included. NULL if hidden there."),
    Column("benchmark_all_value", "DOUBLE", "What public/ shows of all participants. NULL if hidden there."),
    Column("gap", "DOUBLE", "value less benchmark_sector_value."),
    Column("expected_range", "VARCHAR", "Whether value lies beyond what its sector makes one expect: better, as_expected or worse. NULL where the sector is hidden or too small."),
    Column("quartile", "INTEGER", "Quarter of the sector's ranked organisations, 1 the worst to 4 the best. NULL where the sector is hidden, or it is not ranked."),
]  # fmt: skip

TREND = [
    *(c for c in COLUMNS if c.name in Key._fields),
    Column("compare_to_period_code", "VARCHAR", "Period compared with."),
    Column("comparison", "VARCHAR", "previous_wave, previous_quarter, previous_year or year_earlier."),
    Column("value", "DOUBLE", "The published value."),
    Column("value_compared", "DOUBLE", "The published value of the period compared with."),
    Column("diff", "DOUBLE", "value less value_compared, as published."),
    Column("changed", "VARCHAR", "up, down or none, tested on figures before rounding; untested where no test was possible or the series breaks."),
    Column("is_break", "BOOLEAN", "Whether question, wording, scale or mode of interview changed in between."),
]  # fmt: skip

COMPARED = [
    Column("figure_id", "VARCHAR", "Code of the figure."),
    *(c for c in COLUMNS if c.name in Key._fields),
    Column("published_value", "DOUBLE", "The figure as its publisher printed it."),
    Column("value", "DOUBLE", "What stands in measure_score for it; for a count its base. NULL if hidden or not published."),
    Column("is_reproduced", "BOOLEAN", "Whether the figure before rounding lies in the interval of what would be printed so."),
    Column("provenance", "VARCHAR", "survey, or synthetic: calibrated to the published figures."),
]  # fmt: skip

LOST = [
    Column("monitor_code", "VARCHAR", "Monitor."),
    Column("audience_code", "VARCHAR", "Who answered."),
    Column("measure_code", "VARCHAR", "Measure."),
    Column("cells", "BIGINT", "Cells of the published period types."),
    Column("cells_confidential", "BIGINT", "Cells hidden for their own sake (C)."),
    Column("cells_secondary", "BIGINT", "Cells hidden because another could be reckoned from them (D)."),
    Column("cells_standing", "BIGINT", "Cells that stand as published earlier, as too few answers changed."),
    Column("answers", "BIGINT", "Sum of the bases of the cells."),
    Column("answers_hidden", "BIGINT", "Sum of the bases of the hidden cells."),
]  # fmt: skip
