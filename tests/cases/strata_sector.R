# Organisations drawn by sector. The stratum "shops" has one organisation: it is centred at the grand mean (R's
# "adjust"). A domain has the strata and organisations that it holds; a domain of one organisation has no error.
source("common.R")
d <- export("strata_sector", draw(48, c(15, 22, 9, 30, 17, 12, 21, 16),
                                  rep(c("cities", "schools", "insurers", "shops"), c(3, 2, 2, 1))))
d <- subset(d, !is.na(grade))
d$y <- d$grade
design <- svydesign(ids = ~organisation, strata = ~sector, weights = ~weight, data = d)
expected <- list()
for (s in names(leaves)) for (c in names(channels)) {
  part <- subset(design, sector %in% leaves[[s]] & channel %in% channels[[c]])
  m <- mean_of(part)
  if (m$df == 0) m[c("se", "df", "ci_low", "ci_high")] <- NA
  expected[[length(expected) + 1]] <- at(s, c, "grade", m, woodruff(part))
}
save_case("strata_sector", "Stratified by sector, one stratum of a single organisation", list(grade = "grade"),
          expected, strata = "sector")
