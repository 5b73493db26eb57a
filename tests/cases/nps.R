# Net promoter score: the mean of 100 (9-10), 0 (7-8) and -100 (0-6), organisations as clusters, sectors and channels as
# domains; also of a sector that two others are part of.
source("common.R")
d <- export("nps", draw(41, c(12, 25, 8, 30, 17, 9, 22, 14, 6, 19),
                        rep(c("cities", "schools", "insurers"), c(4, 3, 3))))
d <- subset(d, !is.na(recommend))
d$y <- ifelse(d$recommend >= 9, 100, ifelse(d$recommend >= 7, 0, -100))
design <- svydesign(ids = ~organisation, weights = ~weight, data = d)
expected <- list()
for (s in c("all", "public", "cities", "schools", "insurers")) for (c in names(channels)) {
  part <- subset(design, sector %in% leaves[[s]] & channel %in% channels[[c]])
  n <- part$variables$y
  shares <- 100 * coef(svymean(~I(1 * (y == 100)) + I(1 * (y == 0)) + I(1 * (y == -100)), part))
  expected[[length(expected) + 1]] <- at(s, c, "recommendation", mean_of(part)[c("value", "se", "df")], list(
    n_answers = length(n), n_promoters = sum(n == 100), n_passives = sum(n == 0), n_detractors = sum(n == -100),
    promoter_share = shares[[1]], passive_share = shares[[2]], detractor_share = shares[[3]]))
}
save_case("nps", "Net promoter score of sectors and channels", list(recommend = "recommendation"), expected)
