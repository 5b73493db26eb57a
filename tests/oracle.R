# Every estimate of every domain of every design, by R's package survey. Run by test_oracle.py:
#   Rscript oracle.R FOLDER
# FOLDER holds designs.csv, answers.csv (valid answers, one row each and period) and reference/sectors.csv; the
# results go to FOLDER/expected.csv, one row a domain, the columns named as in the mart.
suppressMessages({library(survey); library(parallel)})
options(survey.lonely.psu = "adjust", warn = 1)

folder <- commandArgs(trailingOnly = TRUE)[1]
text <- function(name, ...) read.csv(file.path(folder, name), colClasses = "character", na.strings = "", ...)
designs <- text("designs.csv")
answers <- text("answers.csv")
sectors <- text(file.path("reference", "sectors.csv"))
population <- text(file.path("reference", "population.csv"))
for (column in c("value", "weight", "drawn_from")) answers[[column]] <- as.numeric(answers[[column]])
answers$pair <- paste(answers$organisation, answers$respondent)
answers$y <- with(answers, ifelse(
  measure == "recommendation", ifelse(value >= 9, 100, ifelse(value >= 7, 0, -100)),
  ifelse(measure == "agrees", 100 * value, value)))

upwards <- function(code) if (is.na(code)) NULL else c(code, upwards(sectors$parent_code[sectors$sector_code == code]))

est <- function(design) { m <- svymean(~y, design); c(unname(coef(m)), unname(SE(m))) }

# interval of a share in percent: logit (svyciprop's xlogit), or Wilson where too few answers are effective
share <- function(p, se, df, kish) {
  p <- p / 100; se <- se / 100; t <- qt(.975, df)
  if (se < 1e-13 && p > 1e-13 && p < 1 - 1e-13) return(list(low = 100 * p, high = 100 * p, method = "logit"))
  n <- if (se < 1e-13) kish else p * (1 - p) / se^2
  if (n * min(p, 1 - p) < 5) {
    middle <- (p + t^2 / (2 * n)) / (1 + t^2 / n)
    half <- t / (1 + t^2 / n) * sqrt(p * (1 - p) / n + t^2 / (4 * n^2))
    list(low = 100 * max(0, middle - half), high = 100 * min(1, middle + half), method = "wilson")
  } else {
    ends <- plogis(qlogis(p) + c(-1, 1) * t * se / (p * (1 - p)))
    list(low = 100 * ends[1], high = 100 * ends[2], method = "logit")
  }
}

interval <- function(measure, value, se, df, kish) {
  if (is.na(se) || is.na(df)) return(list(low = NA, high = NA, method = NA))
  if (measure == "agrees") return(share(value, se, df, kish))
  list(low = value - qt(.975, df) * se, high = value + qt(.975, df) * se, method = "t")
}

# CR2 with the degrees of freedom of Bell and McCaffrey (2002), in matrices over the answers. The weighted mean is the
# ordinary regression of sqrt(w) y on sqrt(w), its working model independent answers of equal variance there
cr2 <- function(y, w, cluster) {
  X <- matrix(sqrt(w)); y <- sqrt(w) * y
  bread <- solve(t(X) %*% X)
  residual_maker <- diag(length(y)) - X %*% bread %*% t(X)
  P <- sapply(split(seq_along(y), cluster), function(i) {
    B <- eigen(residual_maker[i, i, drop = FALSE], symmetric = TRUE)
    A <- B$vectors %*% diag(1 / sqrt(B$values), length(i)) %*% t(B$vectors)
    residual_maker[, i, drop = FALSE] %*% A %*% X[i, , drop = FALSE] %*% bread
  })
  G <- t(P) %*% P
  c(sum((t(P) %*% y)^2), sum(diag(G))^2 / sum(G^2))
}

# The sample with weights that meet the margins of the population: post-stratified by one, raked to several.
weighted <- function(design, margins) {
  margins$population <- as.numeric(margins$population)
  if (length(unique(margins$margin)) == 1) {
    one <- margins$margin[1]
    return(postStratify(design, reformulate(one), setNames(margins[c("level", "population")], c(one, "Freq"))))
  }
  levels <- split(setNames(margins$population, margins$level), margins$margin)
  for (m in names(levels)) design$variables[[m]] <- factor(design$variables[[m]], names(levels[[m]]))
  totals <- c("(Intercept)" = sum(levels$sector), setNames(levels$sector, paste0("sector", names(levels$sector)))[-1],
              setNames(levels$channel, paste0("channel", names(levels$channel)))[-1])
  calibrate(design, ~sector + channel, totals, calfun = "raking", epsilon = 1e-13, maxit = 500)
}

# smallest y with F(y) >= p. svyquantile's "math" is the same, but for two faults of version 4.1: below the share of the
# first row it gives the second row, and where F(y) is p but for the last bit it may give the next value
quantiles <- function(design) {
  p <- c(.10, .25, .50, .75, .90)
  F <- svycdf(~y, design)[[1]]
  y <- sort(unique(design$variables$y)); at <- F(y)
  q <- sapply(p, function(p) min(y[at >= p - 1e-12]))
  theirs <- as.numeric(svyquantile(~y, design, p, qrule = "math", ci = FALSE)[[1]])
  w <- weights(design); first <- w[order(design$variables$y)][1] / sum(w)
  excused <- p < first | sapply(p, function(p) any(abs(at - p) < 1e-12))
  stopifnot(all(q == theirs | excused))
  setNames(q, c("p10", "p25", "p50", "p75", "p90"))
}

# Woodruff's interval of a quantile q: F(q) -+ t se(F(q)), the smallest y that reaches each end; an end above 1 is the
# highest y. The error is that of the mean of y <= q, or its CR2 where the mean has that
woodruff <- function(here, q, se, df) {
  F <- svycdf(~y, here)[[1]]; y <- sort(unique(here$variables$y)); at <- F(y)
  share <- F(q)
  ends <- share + c(-1, 1) * qt(.975, df) * se
  list(ci_low = min(y[at >= ends[1] - 1e-12]), ci_high = min(y[at >= min(ends[2], 1) - 1e-12]))
}

# svyquantile has the same interval, but for the faults above and NaN for an end outside 0 to 1
as_theirs <- function(here, q, p, se, df, ours) {
  w <- weights(here); y <- here$variables$y; at <- svycdf(~y, here)[[1]](y)
  ends <- sum(w[y <= q]) / sum(w) + c(-1, 1) * qt(.975, df) * se
  theirs <- suppressWarnings(survey:::woodruffCI(y, q, p, here, survey:::qrule_math, .05, df, "mean"))
  excused <- is.nan(theirs) | ends < w[order(y)][1] / sum(w) | sapply(ends, function(e) any(abs(at - e) < 1e-12))
  all(theirs == unlist(ours) | excused)
}

# what respondents of several organisations have in common where only respondents are a sample: the organisations are
# strata, each centred at its own mean, and a respondent is one cluster in all of them
in_common <- function(d, z) {
  z <- tapply(z, list(d$respondent, d$organisation), sum)
  n <- colSums(!is.na(z))
  z <- sweep(sweep(z, 2, ifelse(n > 1, colMeans(z, na.rm = TRUE), 0)), 2, sqrt(n / pmax(n - 1, 1)), "*")
  sum(rowSums(z, na.rm = TRUE)^2) - sum(z^2, na.rm = TRUE)
}

domain <- function(a, sampled, within, respondents, pairs, to_population, unit, strata, measure) {
  inside <- a$inside; d <- a$data[inside, ]
  w <- d$weight; W <- sum(w)
  n_pairs <- length(unique(d$pair)); n_respondents <- length(unique(d$respondent))
  kish <- W^2 / sum(w^2)
  row <- list(n_answers = nrow(d), n_respondents = n_respondents, n_kish = kish, sum_w = W, sum_wy = sum(w * d$y))
  here <- sampled[a$chosen, ]
  e <- est(here)
  row$value <- e[1]
  row$se <- row$df <- row$se_cr2 <- row$df_cr2 <- row$se_participants <- row$df_participants <- NA
  uneven <- FALSE; shared <- 0
  row$design_effect <- NA
  spread <- sum(w * (d$y - e[1])^2) > 1e-9
  if (unit == "organisation") {
    Wi <- tapply(w, d$organisation, sum); m <- length(Wi)
    row$n_organisations <- m
    row$n_organisations_effective <- W^2 / sum(Wi^2)
    row$largest_organisation_share <- max(Wi) / W
    if (n_pairs > n_respondents)
      shared <- est(respondents[inside, ])[2]^2 - est(pairs[inside, ])[2]^2
    if (degf(here) > 0) {
      V <- e[2]^2 + shared
      row$se <- if (V > 0) sqrt(V) else e[2]
      row$df <- degf(here)
    }
    if (!strata && m > 1) {
      c2 <- cr2(d$y, w, d$organisation)
      drawn <- d$drawn_from[1]
      if (!is.na(drawn)) c2[1] <- c2[1] * (1 - a$m / drawn)
      row$se_cr2 <- if (c2[1] + shared > 0) sqrt(c2[1] + shared) else sqrt(c2[1])
      row$df_cr2 <- c2[2]
      uneven <- 3 * row$n_organisations_effective < 2 * m
    }
    if (n_respondents > m) {
      V <- est(within[inside, ])[2]^2
      both <- if (n_pairs > n_respondents) in_common(d, w * (d$y - e[1]) / W) else 0
      row$se_participants <- sqrt(if (V > 0 && V + both > 0) V + both else V)
      row$df_participants <- n_respondents - m
    }
    means <- data.frame(y = tapply(w * d$y, d$organisation, sum) / Wi)
    equal <- if (m > 1) est(svydesign(ids = ~1, weights = rep(1, m), data = means)) else c(means$y, NA)
    row$value_organisations_equal <- equal[1]
    row$se_organisations_equal <- if (m > 1) equal[2] else NA
    ci <- interval(measure, equal[1], equal[2], m - 1, m)
    row$ci_low_organisations_equal <- ci$low; row$ci_high_organisations_equal <- ci$high
  } else {
    if (n_respondents > 1) {
      row$se <- row$se_participants <- e[2]
      row$df <- row$df_participants <- degf(here)
    }
    row$n_organisations <- row$n_organisations_effective <- row$largest_organisation_share <- NA
    row$value_organisations_equal <- row$se_organisations_equal <- NA
    row$ci_low_organisations_equal <- row$ci_high_organisations_equal <- NA
  }
  if (!is.na(row$se) && spread && nrow(d) > 1) {
    row$design_effect <- row$se^2 / (as.numeric(svyvar(~y, here)) / nrow(d))
    if (shared == 0 && e[2] > 1e-13)
      stopifnot(all.equal(row$design_effect, as.numeric(deff(svymean(~y, here, deff = "replace"))), tolerance = 1e-12))
  }
  used <- if (uneven) row[c("se_cr2", "df_cr2")] else row[c("se", "df")]
  ci <- interval(measure, e[1], used[[1]], used[[2]], kish)
  row$ci_low <- ci$low; row$ci_high <- ci$high
  row$ci_method <- if (is.na(ci$method)) NA else paste0(ci$method, if (uneven) "_cr2" else "")
  ci <- interval(measure, e[1], row$se_participants, row$df_participants, kish)
  row$ci_low_participants <- ci$low; row$ci_high_participants <- ci$high
  if (measure == "recommendation") {
    parts <- 100 * coef(svymean(~I(1 * (y == 100)) + I(1 * (y == 0)) + I(1 * (y == -100)), here))
    row[c("promoter_share", "passive_share", "detractor_share")] <- parts
    row[c("n_promoters", "n_passives", "n_detractors")] <- list(sum(d$y == 100), sum(d$y == 0), sum(d$y == -100))
  } else row[c("promoter_share", "passive_share", "detractor_share", "n_promoters", "n_passives", "n_detractors")] <- NA
  row[c("value_weighted", "se_weighted", "df_weighted", "ci_low_weighted", "ci_high_weighted",
        "n_effective_weighted", "obs_status_weighted")] <- NA
  if (!is.null(to_population)) {
    here_weighted <- to_population[inside, ]
    W <- weights(here_weighted)[inside]
    e <- est(here_weighted)
    row$value_weighted <- e[1]
    if (row$n_organisations > 1 && degf(here) > 0) {
      row$se_weighted <- e[2]
      row$df_weighted <- degf(here)
    }
    of_each <- if (unit == "organisation") tapply(W, d$organisation, sum) else W
    row$n_effective_weighted <- sum(W)^2 / sum(of_each^2)
    if (row$n_effective_weighted < if (unit == "organisation") 10 else 30) row$obs_status_weighted <- "u"
    ci <- interval(measure, e[1], row$se_weighted, row$df_weighted, sum(W)^2 / sum(W^2))
    row$ci_low_weighted <- ci$low; row$ci_high_weighted <- ci$high
  }
  q <- quantiles(here)
  for (code in names(q)) {
    name <- function(column) paste0(code, ".", column)
    below <- as.numeric(here$variables$y <= q[[code]])
    m <- svymean(below, here)
    row[[name("value")]] <- q[[code]]
    row[[name("cumulative_share")]] <- 100 * coef(m)[[1]]
    row[name(c("se_cumulative_share", "df", "ci_low", "ci_high", "ci_method"))] <- NA
    if (measure != "grade" || is.na(row$df) || unit == "respondent" && nrow(d) > n_respondents) next
    se <- SE(m)[[1]]; df <- row$df
    if (uneven) {
      c2 <- cr2(as.numeric(d$y <= q[[code]]), w, d$organisation)
      se <- sqrt(c2[1] * if (is.na(drawn)) 1 else 1 - a$m / drawn); df <- c2[2]
    }
    ci <- woodruff(here, q[[code]], se, df)
    if (!uneven) stopifnot(as_theirs(here, q[[code]], as.numeric(sub("p", "", code)) / 100, se, df, ci))
    row[name(c("se_cumulative_share", "df", "ci_low", "ci_high"))] <- c(100 * se, df, ci$ci_low, ci$ci_high)
    row[[name("ci_method")]] <- if (uneven) "woodruff_cr2" else "woodruff"
  }
  row
}

of_design <- function(d) {
  unit <- designs$unit[designs$design == d$design[1]]
  strata <- designs$strata[designs$design == d$design[1]] == "yes"
  sampled <- if (unit == "organisation") svydesign(
    ids = ~organisation, strata = if (strata) ~stratum, weights = ~weight,
    fpc = if (!anyNA(d$drawn_from)) ~drawn_from, data = d)
  paths <- lapply(d$sector, upwards)
  rows <- list()
  for (measure in unique(d$measure)) {
    of_measure <- d$measure == measure
    a <- d[of_measure, ]
    respondents <- svydesign(ids = ~respondent, weights = ~weight, data = a)
    pairs <- svydesign(ids = ~pair, weights = ~weight, data = a)
    margins <- population[population$monitor_code == d$design[1], ]
    to_population <- if (nrow(margins)) weighted(sampled[which(of_measure), ], margins)
    within <- if (unit == "organisation") svydesign(ids = ~pair, strata = ~organisation, weights = ~weight, data = a)
    for (sector in unique(unlist(paths[of_measure]))) {
      of_sector <- sapply(paths, function(path) sector %in% path)
      for (channel in c("all", unique(a$channel[of_sector[of_measure]]))) {
        chosen <- of_measure & of_sector & (channel == "all" | d$channel == channel)
        part <- list(
          data = a, inside = which(chosen[of_measure]), m = length(unique(d$organisation)),
          chosen = if (unit == "organisation") which(chosen) else which(chosen[of_measure]))
        base <- if (unit == "organisation") sampled else respondents
        key <- list(monitor_code = d$design[1], period_code = d$period[1], sector_code = sector, channel_code = channel,
                    measure_code = measure)
        found <- domain(part, base, within, respondents, pairs, to_population, unit, strata, measure)
        rows[[length(rows) + 1]] <- c(key, found)
      }
    }
  }
  rows
}

print_number <- function(x) ifelse(is.na(x), "", if (is.numeric(x)) sprintf("%.17g", x) else as.character(x))
groups <- split(answers, paste(answers$design, answers$period))
rows <- mclapply(groups, of_design, mc.cores = 2, mc.preschedule = FALSE)
failed <- Filter(function(r) inherits(r, "try-error"), rows)
if (length(failed)) stop(paste(names(failed), failed, collapse = "\n"))
table <- do.call(rbind, lapply(unlist(rows, recursive = FALSE), function(r) {
  as.data.frame(lapply(r, print_number), optional = TRUE)[sort(names(r))]
}))
write.csv(table, file.path(folder, "expected.csv"), row.names = FALSE)
cat(sprintf("%s, survey %s: %d domains\n", R.version.string, packageVersion("survey"), nrow(table)))
