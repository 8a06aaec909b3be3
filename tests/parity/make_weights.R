# Write the weights that R's package survey gives for the inputs below `data`.
# From the root of the checkout: Rscript tests/parity/make_weights.R. README.md says what they are.
suppressPackageStartupMessages(library(survey))
ROOT <- file.path("tests", "parity")

read_table <- function(folder, name) {
  read.csv(file.path(ROOT, "data", folder, name), check.names = FALSE, na.strings = "")
}

# The three tables of a data set. The labels of its totals are factors.
read_tables <- function(folder) {
  tables <- lapply(c(records = "records.csv.gz", cells = "cells.csv", totals = "totals.csv"),
                   read_table, folder = folder)
  labels <- setdiff(names(tables$totals), c("name", "variable", "value"))
  for (label in labels) tables$records[[label]] <- factor(tables$records[[label]])
  tables
}

# Amounts in units of their mean: grake and solve fail if one column is 1e8 times another.
in_means <- function(tables) {
  for (amount in setdiff(tables$totals$variable, "count")) {
    unit <- mean(tables$records[[amount]])
    tables$records[[amount]] <- tables$records[[amount]] / unit
    rows <- tables$totals$variable == amount
    tables$totals$value[rows] <- tables$totals$value[rows] / unit
  }
  tables
}

weights_of_strata <- function(setting, tables) {
  design <- svydesign(ids = ~1, weights = reformulate(setting$weight), data = tables$records)
  cells <- tables$cells
  designs <- list(poststratify = postStratify(
    design, reformulate(setdiff(names(cells), "Freq")), cells
  ))
  if (!is.na(setting$margins)) {
    margins <- lapply(strsplit(setting$margins, " ")[[1]], reformulate)
    known <- lapply(margins, function(margin) xtabs(update(margin, Freq ~ .), cells))
    designs$rake <- rake(design, margins, known, control = list(maxit = 1000, epsilon = 1e-14))
  }
  sapply(designs, weights)
}

weights_of_totals <- function(setting, tables) {
  design <- svydesign(ids = ~1, weights = reformulate(setting$weight), data = tables$records)
  formula <- as.formula(setting$formula)
  population <- setNames(tables$totals$value, tables$totals$name)
  columns <- model.matrix(formula, tables$records)
  population <- population[colnames(columns)]
  bounds <- c(setting$low, setting$high)
  limits <- c(setting$trim_low, setting$trim_high)
  calibrated <- function(...) {
    calibrate(design, formula, population, maxit = 1000, epsilon = 1e-12, ...)
  }
  designs <- list(
    linear = calibrated(calfun = "linear"),
    linear_bounded = calibrated(calfun = "linear", bounds = bounds),
    linear_limits = calibrated(calfun = "linear", bounds = limits, bounds.const = TRUE),
    raking = calibrated(calfun = "raking"),
    raking_bounded = calibrated(calfun = "raking", bounds = bounds),
    logit = calibrated(calfun = "logit", bounds = bounds)
  )
  missed <- sapply(designs, function(x) max(abs(colSums(columns * weights(x)) / population - 1)))
  print(signif(missed, 2))
  trimmed <- trimWeights(designs$raking, lower = limits[1], upper = limits[2], strict = TRUE)
  sapply(c(designs, list(trimmed = trimmed)), weights)
}

cat(R.version.string, "with survey", as.character(packageVersion("survey")), "\n")
for (row in 1:5) {
  setting <- read_table("..", "settings.csv")[row, ]
  cat("\n", setting$data, ", largest relative miss of a total:\n", sep = "")
  tables <- read_tables(setting$data)
  weights <- cbind(
    weights_of_strata(setting, tables), weights_of_totals(setting, in_means(tables))
  )
  weights[] <- sprintf("%.17g", weights)
  to <- xzfile(file.path(ROOT, "data", setting$data, "weights.csv.xz"), "w", compression = 9)
  write.csv(weights, to, row.names = FALSE, quote = FALSE)
  close(to)
}
