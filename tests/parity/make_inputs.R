# Write the inputs that come from the data sets `api` and `nhanes` of the package survey.
# From the root of the checkout: Rscript tests/parity/make_inputs.R. README.md says what they are.
suppressPackageStartupMessages(library(survey))
data(api)
data(nhanes)

write_table <- function(table, folder, name) {
  folder <- file.path("tests", "parity", "data", folder)
  dir.create(folder, showWarnings = FALSE, recursive = TRUE)
  path <- file.path(folder, name)
  to <- if (endsWith(name, ".gz")) gzfile(path, "w") else file(path, "w")
  write.csv(table, to, row.names = FALSE, quote = FALSE, na = "")
  close(to)
}

# Totals of counts by the levels of a column, under the names that model.matrix gives them.
counts <- function(frame, name, weights = 1) {
  sums <- tapply(rep_len(weights, nrow(frame)), frame[[name]], sum)
  rows <- data.frame(name = paste0(name, names(sums)), variable = "count", value = as.vector(sums))
  rows[[name]] <- names(sums)
  rows
}

# Rows of several tables below each other; a column that a table lacks is empty.
stack_rows <- function(...) {
  tables <- list(...)
  columns <- unique(unlist(lapply(tables, names)))
  do.call(rbind, lapply(tables, function(table) {
    table[setdiff(columns, names(table))] <- NA
    table[columns]
  }))
}

# API: a stratified sample of 200 schools, and the 6,194 schools that it was drawn from.
write_table(apistrat[c("stype", "sch.wide", "api99", "api00", "pw")], "api", "records.csv.gz")
write_table(as.data.frame(xtabs(~ stype + sch.wide, apipop)), "api", "cells.csv")
api99 <- tapply(apipop$api99, apipop$stype, sum)
totals <- stack_rows(
  counts(apipop, "stype"),
  subset(counts(apipop, "sch.wide"), sch.wide == "Yes"),
  data.frame(
    name = paste0("stype", names(api99), ":api99"), variable = "api99",
    value = as.vector(api99), stype = names(api99)
  )
)
write_table(totals, "api", "totals.csv")

# NHANES: totals are those of the sample, changed at random by about 15% in each cell.
set.seed(2009)
persons <- nhanes[c("race", "agecat", "RIAGENDR", "WTMEC2YR")]
levels(persons$agecat) <- c("1-19", "20-39", "40-59", "60+")
cells <- as.data.frame(xtabs(WTMEC2YR ~ race + agecat + RIAGENDR, persons))
cells$Freq <- round(cells$Freq * exp(rnorm(nrow(cells), 0, 0.15)))
write_table(persons, "nhanes", "records.csv.gz")
write_table(cells, "nhanes", "cells.csv")
both <- subset(as.data.frame(xtabs(Freq ~ race + agecat, cells)), race != "1" & agecat != "1-19")
totals <- stack_rows(
  counts(cells, "RIAGENDR", cells$Freq),
  subset(counts(cells, "race", cells$Freq), race != "1"),
  subset(counts(cells, "agecat", cells$Freq), agecat != "1-19"),
  data.frame(
    name = paste0("race", both$race, ":agecat", both$agecat), variable = "count",
    value = both$Freq, race = both$race, agecat = both$agecat
  )
)
write_table(totals, "nhanes", "totals.csv")
