# A sample of people who answer more than once: the respondent is the cluster. A channel is a domain of everybody who
# answered the question, also of those who did not rate that channel. The quantiles have no interval there.
source("common.R")
d <- export("respondents", draw(46, c(60, 50, 40), c("cities", "schools", "shops"), within = .5, across = .2))
expected <- list()
scores <- list(grade = d$grade, recommendation = ifelse(d$recommend >= 9, 100, ifelse(d$recommend >= 7, 0, -100)))
for (measure in names(scores)) {
  d$y <- scores[[measure]]
  design <- svydesign(ids = ~respondent, weights = ~weight, data = subset(d, !is.na(y)))
  for (s in c("all", "public", "shops")) for (c in names(channels)) {
    part <- subset(design, sector %in% leaves[[s]] & channel %in% channels[[c]])
    people <- length(unique(part$variables$respondent))
    expected[[length(expected) + 1]] <- at(s, c, measure, mean_of(part), list(
      n_answers = nrow(part$variables), n_respondents = people, n_organisations = NA),
      if (measure == "grade") woodruff(part, several = nrow(part$variables) > people))
  }
}
save_case("respondents", "Respondents with several answers", list(grade = "grade", recommend = "recommendation"),
          expected, named = c("response", "respondent", "sector", "channel", "weight"), unit = "respondent")
