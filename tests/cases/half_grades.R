# Half grades, such as 7.5: mean, error, and quantiles with their intervals.
source("common.R")
d <- export("half_grades", draw(43, c(18, 22, 9, 31, 12, 16), rep(c("cities", "shops"), 3), half = TRUE))
d <- subset(d, !is.na(grade))
stopifnot(any(d$grade %% 1 == 0.5))
d$y <- d$grade
design <- svydesign(ids = ~organisation, weights = ~weight, data = d)
expected <- list()
for (s in c("all", "cities", "shops")) for (c in names(channels)) {
  part <- subset(design, sector %in% leaves[[s]] & channel %in% channels[[c]])
  expected[[length(expected) + 1]] <- at(s, c, "grade", mean_of(part), woodruff(part))
}
save_case("half_grades", "Half grades", list(grade = "grade"), expected)
