# Design effect (R: deff = "replace", against a simple random sample of as many answers, drawn with replacement) and
# Kish's number of answers. Trap: of one organisation neither error nor design effect is known; R prints about 1e-31.
source("common.R")
d <- export("design_effect", draw(54, c(30, 16, 18, 40, 12, 19), rep(c("cities", "schools", "shops"), each = 2)))
d <- subset(d, !is.na(grade))
d$y <- d$grade
design <- svydesign(ids = ~organisation, weights = ~weight, data = d)
expected <- list()
for (s in c("all", "public", "cities", "shops")) for (c in names(channels)) {
  part <- subset(design, sector %in% leaves[[s]] & channel %in% channels[[c]])
  w <- weights(part)
  expected[[length(expected) + 1]] <- at(s, c, "grade", list(
    design_effect = if (degf(part) > 0) as.numeric(deff(svymean(~y, part, deff = "replace"))) else NA,
    n_kish = sum(w)^2 / sum(w^2), sum_w = sum(w), sum_wy = sum(w * part$variables$y)))
}
save_case("design_effect", "Design effect and Kish's base", list(grade = "grade"), expected)
