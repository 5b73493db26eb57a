# Shares: the logit interval of svyciprop; Wilson's with t for z, on the effective number of answers p(1-p)/V, where
# fewer than five effective answers stand on one side. Trap: where everybody or nobody agrees V is 0, and R's interval has
# no width; there the effective number is Kish's.
source("common.R")
rows <- draw(42, c(40, 30, 50, 20, 35, 25, 30, 45, 28, 33),
             rep(c("cities", "schools", "insurers", "shops"), c(3, 3, 2, 2)))
rows$agree[rows$sector == "insurers" & !is.na(rows$agree)] <- 0
rows$agree[rows$sector == "shops" & !is.na(rows$agree)] <- 1
once <- which(rows$sector == "schools" & rows$agree == 1)
rows$agree[once[-(1:4)]] <- 0
d <- subset(export("shares", rows), !is.na(agree))
d$y <- d$agree
design <- svydesign(ids = ~organisation, weights = ~weight, data = d)
expected <- list()
for (s in c("all", "public", "cities", "schools", "insurers", "shops")) {
  part <- subset(design, sector %in% leaves[[s]])
  m <- svymean(~y, part); p <- coef(m)[[1]]; se <- SE(m)[[1]]; df <- degf(part); w <- weights(part)
  n <- if (p %in% c(0, 1)) sum(w)^2 / sum(w^2) else p * (1 - p) / se^2
  few <- n * min(p, 1 - p) < 5
  ci <- if (few) wilson(p, n, df) else 100 * attr(svyciprop(~y, part, method = "logit", df = df), "ci")
  expected[[s]] <- at(s, "all", "agrees", list(
    value = 100 * p, se = 100 * se, df = df, ci_low = ci[[1]], ci_high = ci[[2]],
    ci_method = if (few) "wilson" else "logit"))
}
save_case("shares", "Shares with logit and Wilson intervals", list(agree = "agrees"), expected)
