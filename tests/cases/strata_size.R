# Organisations drawn by size class from a known number: of the small ones 3 in 20, of the medium ones 4 in 10, and the
# large ones are all in. Sectors and channels cut across the strata.
source("common.R")
rows <- draw(49, c(15, 22, 9, 30, 17, 12, 21, 16, 28), rep(c("cities", "schools", "insurers"), 3))
size <- c("small", "small", "small", "medium", "medium", "medium", "medium", "large", "large")
rows$size <- size[as.integer(factor(rows$organisation))]
d <- subset(export("strata_size", rows), !is.na(recommend))
d$y <- ifelse(d$recommend >= 9, 100, ifelse(d$recommend >= 7, 0, -100))
drawn_from <- list(small = 20, medium = 10, large = 2)
d$drawn_from <- unlist(drawn_from)[d$size]
design <- svydesign(ids = ~organisation, strata = ~size, weights = ~weight, fpc = ~drawn_from, data = d)
expected <- list()
for (s in c("all", "public", "insurers")) for (c in names(channels)) {
  part <- subset(design, sector %in% leaves[[s]] & channel %in% channels[[c]])
  m <- mean_of(part)
  if (m$df == 0) m[c("se", "df", "ci_low", "ci_high")] <- NA
  expected[[length(expected) + 1]] <- at(s, c, "recommendation", m)
}
save_case("strata_size", "Stratified by size class with finite populations", list(recommend = "recommendation"),
          expected, strata = "size_class", sampled_from = drawn_from)
