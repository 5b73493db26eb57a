# The design has every organisation with any valid answer. Two answered the recommendation only: in a domain of the
# grades they count in m (their z_i is 0), not in the degrees of freedom. Traps: m of those who graded is too small; one
# organisation in a domain has no error (R prints about 1e-16).
source("common.R")
rows <- draw(51, c(20, 15, 12, 25, 18, 10, 14),
             c("cities", "cities", "schools", "schools", "insurers", "shops", "shops"))
rows$grade[rows$organisation %in% c("o02", "o06")] <- NA
rows$channel[rows$organisation == "o03"] <- "phone"
d <- export("absent", rows)
d <- subset(d, !is.na(grade) | !is.na(recommend))
d$y <- d$grade
design <- svydesign(ids = ~organisation, weights = ~weight, data = d)
expected <- list()
for (s in names(leaves)) for (c in names(channels)) {
  part <- subset(design, !is.na(y) & sector %in% leaves[[s]] & channel %in% channels[[c]])
  m <- mean_of(part)
  if (m$df == 0) m[c("se", "df", "ci_low", "ci_high")] <- NA
  expected[[length(expected) + 1]] <- at(s, c, "grade", m[c("value", "se", "df")], list(
    n_organisations = length(unique(part$variables$organisation))))
}
save_case("absent", "Organisations that are absent from a domain", list(grade = "grade", recommend = "recommendation"),
          expected)
