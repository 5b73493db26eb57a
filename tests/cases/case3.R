# Weighting to a population: Rscript case3.R, in this folder, writes case3_expected.json anew.
# What each key is, README.md tells. All of it is made up, and was rounded before this script first read it.
source("common.R")
d <- read.csv("case3_grades.csv")
margins <- read.csv("case3_margins.csv")
d$nps <- with(d, ifelse(nps_raw >= 9, 100, ifelse(nps_raw >= 7, 0, -100)))
names_of <- c("sector", "channel", "age")
levels_of <- sapply(names_of, function(m) with(subset(margins, variable == m), setNames(population, level)), simplify = FALSE)
for (m in names_of) d[[m]] <- factor(d[[m]], names(levels_of[[m]]))

base <- svydesign(ids = ~org_id, weights = ~base_weight, data = d)
one <- function(m) setNames(data.frame(names(levels_of[[m]]), as.numeric(levels_of[[m]])), c(m, "Freq"))
by_sector <- postStratify(base, ~sector, one("sector"))
raked <- rake(base, list(~sector, ~channel, ~age), lapply(names_of, one), control = list(maxit = 500, epsilon = 1e-14))
totals <- c("(Intercept)" = sum(levels_of$sector))
for (m in names_of) totals <- c(totals, setNames(levels_of[[m]], paste0(m, names(levels_of[[m]])))[-1])
calibrated <- calibrate(base, ~sector + channel + age, totals, calfun = "raking", epsilon = 1e-13, maxit = 500)

numbers <- function(formula, design) {
  m <- svymean(formula, design); df <- degf(design); t <- qt(.975, df); est <- coef(m)[[1]]; se <- SE(m)[[1]]
  list(est = est, se = se, df = df, lo = est - t * se, hi = est + t * se)
}
of <- function(design) {
  w <- weights(design)
  fixed <- svydesign(ids = ~org_id, weights = w, data = d)
  list(mean_grade = numbers(~grade, design), nps = numbers(~nps, design),
       mean_grade_se_weights_taken_as_fixed = SE(svymean(~grade, fixed))[[1]],
       nps_se_weights_taken_as_fixed = SE(svymean(~nps, fixed))[[1]],
       sum_w = sum(w), kish_n_eff = sum(w)^2 / sum(w^2), kish_deff = length(w) * sum(w^2) / sum(w)^2,
       min_w = min(w), max_w = max(w), cv_w = sqrt(mean((w - mean(w))^2)) / mean(w))
}
by_channel <- function(design) sapply(c("email", "phone", "physical"), function(c) {
  part <- subset(design, channel == c)
  numbers(~grade, part)[c("est", "se", "df")]
}, simplify = FALSE)

expected <- list(
  made_with = list(R = R.version.string, survey = as.character(packageVersion("survey"))),
  max_rel_diff_rake_vs_calibrate = max(abs(weights(raked) / weights(calibrated) - 1)),
  base = of(base),
  post_stratified_by_sector = of(by_sector),
  raked = of(raked),
  calibrated_raking_distance = of(calibrated),
  raked_by_channel = by_channel(raked),
  calibrated_by_channel = by_channel(calibrated)
)
writeLines(json(expected), "case3_expected.json")
