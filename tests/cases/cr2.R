# Uneven organisations: the variance CR2 and its degrees of freedom (Bell and McCaffrey 2002), in matrices over the
# answers. The weighted mean is the ordinary regression of sqrt(w) y on sqrt(w), its working model independent answers of
# equal variance there.
source("common.R")
d <- export("cr2", draw(52, c(3, 120, 5, 8, 40, 2, 11, 6, 4), rep(c("cities", "insurers", "shops"), 3)))
d <- subset(d, !is.na(grade))
d$y <- d$grade
design <- svydesign(ids = ~organisation, weights = ~weight, data = d)
expected <- list()
for (s in c("all", "cities", "insurers", "shops")) for (c in c("all", "phone")) {
  part <- subset(design, sector %in% leaves[[s]] & channel %in% channels[[c]])
  w <- weights(part); y <- part$variables$y; cluster <- part$variables$organisation
  X <- matrix(sqrt(w)); bread <- solve(t(X) %*% X)
  M <- diag(length(w)) - X %*% bread %*% t(X) # makes residuals
  P <- sapply(split(seq_along(w), cluster), function(i) {
    B <- eigen(M[i, i, drop = FALSE], symmetric = TRUE)
    A <- B$vectors %*% diag(1 / sqrt(B$values), length(i)) %*% t(B$vectors) # M_ii^(-1/2)
    M[, i, drop = FALSE] %*% A %*% X[i, , drop = FALSE] %*% bread
  })
  se <- sqrt(sum((t(P) %*% (sqrt(w) * y))^2))
  G <- t(P) %*% P
  df <- sum(diag(G))^2 / sum(G^2)
  m <- mean_of(part)
  W <- tapply(w, cluster, sum); effective <- sum(W)^2 / sum(W^2)
  corrected <- 3 * effective < 2 * length(W)
  if (corrected) m[c("ci_low", "ci_high")] <- m$value + c(-1, 1) * qt(.975, df) * se
  expected[[length(expected) + 1]] <- at(s, c, "grade", m, list(
    se_cr2 = se, df_cr2 = df, ci_method = if (corrected) "t_cr2" else "t", n_organisations_effective = effective,
    largest_organisation_share = max(W) / sum(W)))
}
save_case("cr2", "Uneven organisations", list(grade = "grade"), expected)
