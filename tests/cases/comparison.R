# Differences and their errors by the package survey, for tests/test_comparisons.py.
#   Rscript comparison.R grades.csv expected.json
#
# A difference of two parts is a contrast of two domains of one design. The parts may overlap (a sector and its
# total), so the rows of both are stacked, each with the name of its part; rows of the same organisation stay in
# one cluster. Rows of neither part stand in the stack too: they hold the organisations of the design.

suppressMessages(library(survey))
options(survey.lonely.psu = "adjust")

arguments <- commandArgs(trailingOnly = TRUE)
rows <- read.csv(arguments[1], colClasses = c(person = "character"))
rows$channel_rating <- rows$grade
rows$recommendation <- ifelse(rows$recommend >= 9, 100, ifelse(rows$recommend >= 7, 0, -100))
rows$pair <- paste(rows$person, rows$org)

# variance of R(A) - R(B), `within` being every row of the sample, `id` what was drawn
contrast <- function(a, b, within, measure, id, strata = NULL) {
  a$part <- "a"
  b$part <- "b"
  within$part <- "c"
  stack <- rbind(a, b, within)
  stack$y <- stack[[measure]]
  stack$unit <- stack[[id]]
  if (id != "org") stack <- stack[!is.na(stack$y), ] # respondents are a sample for each question
  stack$y[is.na(stack$y)] <- 0 # only rows of `within` are left with none, and they are in no part
  design <- svydesign(ids = ~unit, weights = ~weight, strata = strata, data = stack)
  means <- svyby(~y, ~part, subset(design, part != "c"), svymean, covmat = TRUE)
  result <- svycontrast(means, c(a = 1, b = -1))
  c(coef(result)[[1]], SE(result)[[1]]^2)
}

results <- list()
compare <- function(key, a, b, within, measure, trend) {
  answered <- function(x) x[!is.na(x[[measure]]), ]
  a <- answered(a)
  b <- answered(b)
  if (nrow(a) == 0 || nrow(b) == 0) return(invisible())
  # a row is in the sample with an answer to any question
  sample <- within[!is.na(within$grade) | !is.na(within$recommend), ]
  size <- function(column) length(unique(c(a[[column]], b[[column]])))
  least <- function(column) min(length(unique(a[[column]])), length(unique(b[[column]])))
  plain <- contrast(a, b, sample, measure, "org")
  strata <- contrast(a, b, sample, measure, "org", ~size)
  person <- contrast(a, b, sample, measure, "person")
  cells <- contrast(a, b, sample, measure, "pair")
  # two-way where a respondent of these parts rated several organisations, and never below 0
  both <- if (size("pair") > size("person")) plain[2] + person[2] - cells[2] else 0
  found <- list(
    key = key, diff = plain[1], least = least("org"), least_person = least("person"),
    plain = c(sqrt(plain[2]), size("org") - 1),
    stratified = c(sqrt(strata[2]), size("org") - size("size")),
    respondents = c(sqrt(person[2]), size("person") - 1),
    two_way = c(sqrt(if (both > 0) both else plain[2]), size("org") - 1)
  )
  if (trend) {
    shared <- intersect(a$org, b$org)
    found$n_matched <- length(shared)
    if (length(shared) > 1) {
      matched <- contrast(a[a$org %in% shared, ], b[b$org %in% shared, ], sample, measure, "org")
      found$matched <- c(matched[1], sqrt(matched[2]), length(shared) - 1)
    }
  }
  results[[length(results) + 1]] <<- found
}

of <- function(data, sector, channel) {
  data[(sector == "all" | data$sector == sector) & (channel == "all" | data$channel == channel), ]
}
channels <- sort(unique(rows$channel))
sectors <- sort(unique(rows$sector))
for (measure in c("channel_rating", "recommendation")) {
  cuts <- if (measure == "channel_rating") c("all", channels) else "all"
  for (sector in c("all", sectors)) for (channel in cuts) {
    name <- function(...) paste(..., sep = "|")
    first <- rows[rows$wave == 1, ]
    second <- rows[rows$wave == 2, ]
    compare(
      name("previous_wave", measure, "wave-2", sector, channel, "wave-1"),
      of(second, sector, channel), of(first, sector, channel), rows, measure, TRUE
    )
    for (wave in 1:2) {
      now <- rows[rows$wave == wave, ]
      period <- paste0("wave-", wave)
      part <- of(now, sector, channel)
      total <- of(now, "all", channel)
      if (sector != "all") {
        compare(name("total", measure, period, sector, channel, "all"), part, total, now, measure, FALSE)
        rest <- total[total$sector != sector, ]
        compare(name("rest", measure, period, sector, channel, "rest"), part, rest, now, measure, FALSE)
      }
      for (other in channels) if (channel != "all" && channel < other) {
        compare(
          name("channel", measure, period, sector, channel, other), part, of(now, sector, other), now, measure, FALSE
        )
      }
    }
  }
}

json <- function(x) {
  text <- if (is.character(x)) sprintf('"%s"', x) else sprintf("%.17g", x)
  if (length(x) > 1) sprintf("[%s]", paste(text, collapse = ", ")) else text
}
lines <- sapply(results, function(r) paste0("{", paste0('"', names(r), '": ', sapply(r, json), collapse = ", "), "}"))
writeLines(paste0("[\n", paste(lines, collapse = ",\n"), "\n]"), arguments[2])
