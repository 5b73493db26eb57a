# Buyers rate several suppliers: V = V of organisations + V of respondents - V of respondents within organisations, each
# with its own m/(m-1). Degrees of freedom are those of the organisations. Where no respondent of a domain rated two
# organisations of it, there is nothing to add.
source("common.R")
d <- export("two_way", draw(45, c(20, 25, 18, 22, 15, 24, 20, 19), rep(c("cities", "insurers"), each = 4),
                            within = .1, across = .4))
d <- subset(d, !is.na(grade))
d$y <- d$grade
d$pair <- paste(d$organisation, d$respondent)
organisations <- svydesign(ids = ~organisation, weights = ~weight, data = d)
respondents <- svydesign(ids = ~respondent, weights = ~weight, data = d)
pairs <- svydesign(ids = ~pair, weights = ~weight, data = d)
expected <- list()
for (s in c("all", "cities", "insurers")) for (c in names(channels)) {
  of <- function(design) subset(design, sector %in% leaves[[s]] & channel %in% channels[[c]])
  V <- function(design) vcov(svymean(~y, of(design)))[1]
  here <- of(organisations)$variables
  shared <- length(unique(here$pair)) > length(unique(here$respondent))
  se <- sqrt(V(organisations) + if (shared) V(respondents) - V(pairs) else 0)
  value <- coef(svymean(~y, of(organisations)))[[1]]; df <- degf(of(organisations))
  expected[[length(expected) + 1]] <- at(s, c, "grade", list(
    value = value, se = se, df = df, ci_low = value - qt(.975, df) * se, ci_high = value + qt(.975, df) * se,
    n_respondents = length(unique(here$respondent)), n_answers = nrow(here)))
}
save_case("two_way", "Respondents who rate several organisations", list(grade = "grade"), expected,
          named = c("response", "respondent", "organisation", "channel", "weight"))
