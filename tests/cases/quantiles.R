# Quantiles without weights, n = 20: F(y) is exactly 0.1, 0.5 and 0.9 at some grades, and the lowest such grade counts.
# Trap: the domain "shops" has one grade 2 among nine, so that p10 is 2; svyquantile of survey 4.1 says 6: common.R.
source("common.R")
rows <- draw(44, c(10, 10, 9), c("cities", "schools", "shops"), weighted = FALSE)
rows$grade <- c(c(1, 3, 5, 5, 6, 7, 7, 8, 9, 10), c(2, 4, 5, 6, 6, 7, 8, 8, 9, 10), c(2, 6, 6, 7, 7, 7, 8, 8, 9))
d <- export("quantiles", rows)
d$y <- d$grade
design <- svydesign(ids = ~organisation, weights = ~weight, data = d)
expected <- list()
for (s in c("all", "public", "cities", "schools", "shops")) {
  part <- subset(design, sector %in% leaves[[s]])
  q <- quantiles(part)
  if (s == "shops") stopifnot(q$p10 == 2, svyquantile(~y, part, .1, qrule = "math", ci = FALSE)[[1]] == 6)
  expected[[s]] <- at(s, "all", "grade", woodruff(part))
}
save_case("quantiles", "Quantiles where F(y) is exactly p", list(grade = "grade"), expected)
