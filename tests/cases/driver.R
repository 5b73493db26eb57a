# Standardised coefficients with clustered errors: Rscript driver.R responses.csv > expected.json
#
# Responses have respondent, org, sector, phone, email, complaint, recommendation and weight; blank is missing.
# One regression, recommendation on the other three, under six designs. The errors take the standardisation as
# fixed: those of svyglm times sd(x) / sd(y). With lonely.psu "adjust" a stratum of one organisation is centred at 0.

suppressMessages(library(survey))
options(survey.lonely.psu = "adjust")
d <- read.csv(commandArgs(TRUE)[1], colClasses = c(org = "character", respondent = "character"))
questions <- c("phone", "email", "complaint", "recommendation")
drivers <- questions[1:3]
drawn_from <- c(gov = 5, housing = 8, utility = 30) # organisations there are, of the design finite
formula <- recommendation ~ phone + email + complaint
d <- d[rowSums(!is.na(d[questions])) > 0, ] # the design: organisations with a valid answer to anything
d$complete <- complete.cases(d[questions])
d$both <- paste(d$org, d$respondent)
k <- d[d$complete, ]

w <- k$weight
centre <- function(x) x - sum(w * x) / sum(w)
sd_w <- function(x) sqrt(sum(w * centre(x)^2) / sum(w))
sds <- sapply(k[questions], sd_w)
r <- sapply(drivers, function(x) unname(sum(w * centre(k[[x]]) * centre(k$recommendation)) / sum(w) / sds[x] / sds["recommendation"]))
share <- function(fit, y) 1 - sum(w * residuals(fit, "response")^2) / sum(w * centre(y)^2)
vif <- sapply(drivers, function(x) 1 / (1 - share(lm(reformulate(setdiff(drivers, x), x), k, weights = w), k[[x]])))
r_squared <- share(lm(formula, k, weights = w), k$recommendation)

fit <- function(design) svyglm(formula, subset(design, complete))
fit_k <- function(ids) svyglm(formula, svydesign(ids = ids, weights = ~weight, data = k))
units <- function(x) { n <- length(unique(x)); (n - 1) / n } # undoes the factor n / (n - 1) of one design

organisation <- fit(svydesign(ids = ~org, weights = ~weight, data = d))
stratified <- fit(svydesign(ids = ~org, strata = ~sector, weights = ~weight, data = d))
d$drawn_from <- drawn_from[d$sector]
finite <- fit(svydesign(ids = ~org, strata = ~sector, fpc = ~drawn_from, weights = ~weight, data = d))
shared <- vcov(organisation) + vcov(fit_k(~respondent)) * units(k$respondent) - vcov(fit_k(~both)) * units(k$both)
designs <- list(
  organisation = list(organisation, vcov(organisation)),
  stratified = list(stratified, vcov(stratified)),
  finite = list(finite, vcov(finite)),
  shared = list(organisation, shared),
  response = list(s <- fit_k(~1), vcov(s)),
  respondent = list(s <- fit_k(~respondent), vcov(s))
)

number <- function(x) sprintf("%.17g", x)
field <- function(name, x) sprintf("\"%s\": %s", name, number(x))
lines <- c()
for (name in names(designs)) {
  s <- designs[[name]][[1]]
  V <- designs[[name]][[2]]
  terms <- sapply(drivers, function(x) {
    scale <- sds[x] / sds["recommendation"]
    beta <- coef(s)[x] * scale
    se <- sqrt(V[x, x]) * scale
    t <- qt(0.975, s$df.residual)
    paste0("  \"", x, "\": {", paste(
      field("beta", beta), field("se", se), field("df", s$df.residual),
      field("ci_low", beta - t * se), field("ci_high", beta + t * se),
      field("p_value", 2 * pt(-abs(beta / se), s$df.residual)),
      field("r", r[x]), field("vif", vif[x]), field("r_squared", r_squared), field("n_responses", nrow(k)), sep = ", "
    ), "}")
  })
  lines <- c(lines, paste0(" \"", name, "\": {\n", paste(terms, collapse = ",\n"), "\n }"))
}
cat("{\n", paste(lines, collapse = ",\n"), "\n}\n", sep = "")
