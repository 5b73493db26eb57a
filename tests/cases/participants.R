# These very organisations: each is a stratum, its respondents are the clusters (some answered several times). n_i stays
# the whole of the organisation in a domain. One organisation has one respondent: it is centred at the overall mean.
source("common.R")
d <- export("participants", draw(47, c(1, 25, 18, 22, 30, 12), rep(c("cities", "insurers"), 3), within = .4))
d$grade[1] <- 6
d <- subset(export("participants", d), !is.na(grade))
d$y <- d$grade
design <- svydesign(ids = ~respondent, strata = ~organisation, weights = ~weight, data = d)
expected <- list()
for (s in c("all", "cities", "insurers")) for (c in names(channels)) {
  part <- subset(design, sector %in% leaves[[s]] & channel %in% channels[[c]])
  m <- mean_of(part)
  expected[[length(expected) + 1]] <- at(s, c, "grade", list(
    value = m$value, se_participants = m$se, df_participants = m$df, ci_low_participants = m$ci_low,
    ci_high_participants = m$ci_high))
}
save_case("participants", "Only the respondents are random", list(grade = "grade"), expected,
          named = c("response", "respondent", "organisation", "channel", "weight"))
