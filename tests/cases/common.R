# What the scripts of the cases share: answers drawn at random, and the two files of a case.
# Each script stands for one case: `Rscript nps.R`, in this folder, writes nps.csv and nps.json anew.
suppressMessages(library(survey))
options(survey.lonely.psu = "adjust")

# Rows of an export. `sizes` are the answers of each organisation, `sectors` their sectors; `within` is the chance that
# an answer comes from somebody who rated this organisation before, `across` that it comes from anybody who answered.
draw <- function(seed, sizes, sectors, half = FALSE, agree = 0.4, within = 0, across = 0, weighted = TRUE) {
  set.seed(seed)
  level <- rnorm(length(sizes), 7, 0.7)
  size_class <- sample(c("small", "medium", "large"), length(sizes), replace = TRUE)
  rows <- NULL
  for (i in seq_along(sizes)) for (k in seq_len(sizes[i])) {
    before <- if (is.null(rows)) character() else rows$respondent
    own <- if (is.null(rows)) character() else before[rows$organisation == sprintf("o%02d", i)]
    respondent <- sprintf("p%04d", length(before) + 1)
    if (length(own) && runif(1) < within) respondent <- own[sample(length(own), 1)]
    else if (length(before) && runif(1) < across) respondent <- before[sample(length(before), 1)]
    grade <- level[i] + rnorm(1, 0, 1.3)
    grade <- min(10, max(1, if (half) round(2 * grade) / 2 else round(grade)))
    rows <- rbind(rows, data.frame(
      response = sprintf("r%04d", length(before) + 1), respondent = respondent, organisation = sprintf("o%02d", i),
      sector = sectors[i], size = size_class[i], channel = sample(c("phone", "email", "physical"), 1), grade = grade,
      recommend = min(10, max(0, round(grade + rnorm(1, 0, 1)))), agree = as.integer(runif(1) < agree),
      weight = if (weighted) round(exp(rnorm(1, 0, 0.5)), 4) else 1))
  }
  for (question in c("grade", "recommend", "agree")) rows[runif(nrow(rows)) < 0.06, question] <- NA
  rows
}

# The CSV is what counts: it is written first and read back. All cases share one list of organisations, so that their
# codes begin with the name of the case.
export <- function(name, rows) {
  rows$organisation <- paste0(name, "_", sub(".*_", "", rows$organisation))
  write.csv(rows, paste0(name, ".csv"), row.names = FALSE, quote = FALSE, na = "")
  read.csv(paste0(name, ".csv"))
}

# A row of the mart: where it stands, and the columns that are compared.
at <- function(sector, channel, measure, ...) {
  c(list(sector_code = sector, channel_code = channel, measure_code = measure), ...)
}

# Estimate, error, degrees of freedom and t interval of the mean of y, as R has them.
mean_of <- function(design) {
  m <- svymean(~y, design); df <- degf(design); ci <- confint(m, df = df)
  list(value = coef(m)[[1]], se = SE(m)[[1]], df = df, ci_low = ci[1], ci_high = ci[2])
}

# Wilson's interval of a share p in percent, with t for z.
wilson <- function(p, n, df) {
  t <- qt(.975, df); middle <- (p + t^2 / (2 * n)) / (1 + t^2 / n)
  half <- t / (1 + t^2 / n) * sqrt(p * (1 - p) / n + t^2 / (4 * n^2))
  100 * c(max(0, middle - half), min(1, middle + half))
}

# The lowest y with F(y) >= p. svyquantile's "math" means the same, but survey 4.1 gives the second row where p is below
# the share of the first, whatever its grade.
quantiles <- function(design) {
  p <- c(.1, .25, .5, .75, .9)
  F <- svycdf(~y, design)[[1]]; y <- sort(unique(design$variables$y))
  q <- sapply(p, function(p) min(y[F(y) >= p - 1e-12]))
  theirs <- as.numeric(svyquantile(~y, design, p, qrule = "math", ci = FALSE)[[1]])
  first <- weights(design)[order(design$variables$y)][1] / sum(weights(design))
  stopifnot(q == theirs | p < first)
  setNames(as.list(q), c("p10", "p25", "p50", "p75", "p90"))
}

# Woodruff's interval of those quantiles: F(q) -+ t se(F(q)), the lowest y that reaches each end; an end above 1 is the
# highest y. svyquantile has the same with interval.type "mean", but NaN for an end outside 0 to 1. There is none where
# respondents were sampled and gave `several` answers.
woodruff <- function(design, several = FALSE) {
  q <- quantiles(design); d <- degf(design)
  F <- svycdf(~y, design)[[1]]; y <- sort(unique(design$variables$y))
  reached <- function(p) min(y[F(y) >= min(p, 1) - 1e-12])
  found <- NULL
  for (code in names(q)) {
    design$variables$below <- as.numeric(design$variables$y <= q[[code]])
    m <- svymean(~below, design); ends <- as.vector(confint(m, df = d))
    one <- list(value = q[[code]], cumulative_share = 100 * coef(m)[[1]], se_cumulative_share = 100 * SE(m)[[1]], df = d,
                ci_low = reached(ends[1]), ci_high = reached(ends[2]), ci_method = "woodruff")
    if (d == 0 || several) one[c("se_cumulative_share", "df", "ci_low", "ci_high", "ci_method")] <- NA
    else {
      p <- as.numeric(sub("p", "", code)) / 100
      theirs <- survey:::woodruffCI(design$variables$y, q[[code]], p, design, survey:::qrule_math, .05, d, "mean")
      first <- weights(design)[order(design$variables$y)][1] / sum(weights(design)) # see quantiles
      near <- sapply(ends, function(end) any(abs(F(y) - end) < 1e-12))
      stopifnot(is.nan(theirs) | near | ends < first | theirs == c(one$ci_low, one$ci_high))
    }
    found[[code]] <- one
  }
  list(quantiles = found)
}

json <- function(x, indent = "") {
  deeper <- paste0(indent, "  ")
  if (length(x) > 1 || is.list(x) && length(x)) {
    items <- vapply(x, json, "", indent = deeper)
    if (!is.null(names(x))) items <- sprintf('"%s": %s', names(x), items)
    ends <- if (is.null(names(x))) c("[", "]") else c("{", "}")
    return(paste0(ends[1], "\n", paste0(deeper, items, collapse = ",\n"), "\n", indent, ends[2]))
  }
  if (length(x) == 0) return("{}")
  if (is.na(x)) "null" else if (is.character(x)) sprintf('"%s"', x) else sprintf("%.17g", x)
}

# `named` are the columns that the contract maps beside the questions; the others it discards.
save_case <- function(name, about, questions, expected, named = c("response", "organisation", "channel", "weight"),
                      unit = "organisation", strata = NA, sampled_from = list()) {
  writeLines(json(list(
    about = about,
    made_with = list(R = R.version.string, survey = as.character(packageVersion("survey"))),
    contract = list(sampling_unit = unit, strata = strata, sampled_from = sampled_from, columns = as.list(named),
                    questions = questions),
    expected = unname(expected))), paste0(name, ".json"))
}

leaves <- list(all = c("cities", "schools", "insurers", "shops"), public = c("cities", "schools"), cities = "cities",
               schools = "schools", insurers = "insurers", shops = "shops")
channels <- list(all = c("phone", "email", "physical"), phone = "phone", email = "email", physical = "physical")
