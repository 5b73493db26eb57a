# Grades with weights, in organisations: Rscript case1.R, in this folder, writes case1_expected.json anew.
# What each key is, README.md tells. The grades are made up, and were rounded before this script first read them.
source("common.R")
d <- read.csv("case1_grades.csv")
d$y <- d$grade

numbers <- function(m, df) {
  t <- suppressWarnings(qt(.975, df)); est <- coef(m)[[1]]; se <- as.numeric(SE(m))[1] # none with one organisation
  list(est = est, se = se, df = df, lo = est - t * se, hi = est + t * se)
}
of <- function(design) numbers(svymean(~y, design, na.rm = TRUE), degf(subset(design, !is.na(y))))
# domains of a design, which keeps all its organisations
domains <- function(design, by) sapply(sort(unique(as.character(design$variables[[by]]))), function(level) {
  part <- design[which(design$variables[[by]] == level & !is.na(design$variables$y)), ]
  w <- weights(part); w <- w[w > 0]
  c(of(part), n = nrow(part$variables), n_org = length(unique(part$variables$org_id)), sum_w = sum(w),
    n_eff_kish = sum(w)^2 / sum(w^2))
}, simplify = FALSE)

plain <- svydesign(ids = ~org_id, weights = ~weight, data = d)
strata <- svydesign(ids = ~org_id, strata = ~sector, weights = ~weight, data = d)
several <- subset(d, sector != "insurer") # left out before the design is made
without <- svydesign(ids = ~org_id, strata = ~sector, weights = ~weight, data = several)
valid <- subset(d, !is.na(y))
people <- svydesign(ids = ~1, strata = ~org_id, weights = ~weight, data = valid)
lonely <- function(how) { options(survey.lonely.psu = how); on.exit(options(survey.lonely.psu = "adjust")); of(strata) }
w <- valid$weight
means <- tapply(w * valid$y, valid$org_id, sum) / tapply(w, valid$org_id, sum); m <- length(means)
equal <- list(est = mean(means), se = sd(means) / sqrt(m), df = m - 1)
half <- qt(.975, m - 1) * equal$se
d$organisations <- 40

expected <- list(
  made_with = list(R = R.version.string, survey = as.character(packageVersion("survey"))),
  n_rows = nrow(d), n_valid = nrow(valid),
  clustered_weighted = of(plain),
  clustered_unweighted = of(svydesign(ids = ~org_id, weights = rep(1, nrow(d)), data = d)),
  unclustered_weighted = of(svydesign(ids = ~1, weights = ~weight, data = d)), # blank rows count in its error
  deff_replace = as.numeric(deff(svymean(~y, plain, na.rm = TRUE, deff = "replace"))),
  wtd_variance_svyvar = as.numeric(svyvar(~y, subset(plain, !is.na(y)))),
  kish = list(sum_w = sum(w), sum_w2 = sum(w^2), n_eff = sum(w)^2 / sum(w^2), deff_w = length(w) * sum(w^2) / sum(w)^2),
  by_sector_no_strata = domains(plain, "sector")[c("gov", "housing", "utility")],
  by_channel_no_strata = domains(plain, "channel"),
  by_sector_no_strata_all = domains(plain, "sector"), # the error of insurer is R's last bit
  stratified_total_lonely_remove = lonely("remove"),
  stratified_total_lonely_adjust = lonely("adjust"),
  stratified_total_lonely_average = lonely("average"),
  stratified_total_without_insurer = of(without),
  by_sector_stratified = domains(without, "sector"),
  by_channel_stratified_without_insurer = domains(without, "channel"),
  clustered_weighted_fpc40 = of(svydesign(ids = ~org_id, weights = ~weight, fpc = ~organisations, data = d)),
  participants_only = of(people),
  participants_only_by_channel = domains(people, "channel"),
  mean_of_org_means = c(equal, lo = equal$est - half, hi = equal$est + half)
)
writeLines(json(expected), "case1_expected.json")
