# Every organisation counts once: the mean of their weighted means, as a simple random sample of organisations. The
# interval of a share is svyciprop's on the logit scale, or Wilson's where it is worth few organisations.
source("common.R")
d <- export("equal", draw(53, c(30, 6, 18, 50, 12, 9), rep(c("cities", "schools", "shops"), c(3, 2, 1))))
expected <- list()
nps <- ifelse(d$recommend >= 9, 100, ifelse(d$recommend >= 7, 0, -100))
scores <- list(grade = d$grade, recommendation = nps, agrees = 100 * d$agree)
for (measure in names(scores)) {
  d$y <- scores[[measure]]
  design <- svydesign(ids = ~organisation, weights = ~weight, data = subset(d, !is.na(y)))
  for (s in c("all", "public", "cities", "shops")) {
    means <- svyby(~y, ~organisation, subset(design, sector %in% leaves[[s]]), svymean, keep.var = FALSE)
    names(means) <- c("organisation", "y")
    m <- list(value = means$y, se = NA, ci_low = NA, ci_high = NA)
    if (nrow(means) > 1) {
      once <- svydesign(ids = ~1, weights = rep(1, nrow(means)), data = means)
      m <- mean_of(once)
      if (measure == "agrees") {
        p <- m$value / 100; n <- p * (1 - p) / (m$se / 100)^2
        once$variables$y <- means$y / 100
        ci <- if (n * min(p, 1 - p) < 5) wilson(p, n, m$df) else
          100 * attr(svyciprop(~y, once, method = "xlogit", df = m$df), "ci")
        m$ci_low <- ci[[1]]; m$ci_high <- ci[[2]]
      }
    }
    expected[[length(expected) + 1]] <- at(s, "all", measure, list(
      value_organisations_equal = m$value, se_organisations_equal = m$se, ci_low_organisations_equal = m$ci_low,
      ci_high_organisations_equal = m$ci_high))
  }
}
save_case("equal", "Every organisation counts once",
          list(grade = "grade", recommend = "recommendation", agree = "agrees"), expected)
