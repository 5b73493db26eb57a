# 8 of 11 organisations took part: 1 - f is 3/11, also where a domain holds only some of the eight.
source("common.R")
d <- export("finite", draw(50, c(20, 24, 18, 22, 19, 21, 23, 17), rep(c("cities", "schools", "insurers", "shops"), 2)))
d <- subset(d, !is.na(grade))
d$y <- d$grade; d$drawn_from <- 11
design <- svydesign(ids = ~organisation, weights = ~weight, fpc = ~drawn_from, data = d)
expected <- list()
for (s in names(leaves)) for (c in names(channels)) {
  part <- subset(design, sector %in% leaves[[s]] & channel %in% channels[[c]])
  m <- mean_of(part)
  expected[[length(expected) + 1]] <- at(s, c, "grade", m[c("value", "se", "df")])
}
save_case("finite", "Eight of eleven organisations", list(grade = "grade"), expected, sampled_from = list(all = 11))
