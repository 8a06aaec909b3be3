# The seconds of `grake` of the package survey, and its weights. `parity.py` writes the inputs.
# Rscript parity_grake.R FOLDER RECORDS TOTALS LOW HIGH REPEATS
suppressPackageStartupMessages(library(survey))
arguments <- commandArgs(trailingOnly = TRUE)
folder <- arguments[1]
numbers <- as.numeric(arguments[-1])
read <- function(name, n) readBin(file.path(folder, name), "double", n)
columns <- matrix(read("columns", numbers[1] * numbers[2]), numbers[1])
weights <- read("weights", numbers[1])
population <- read("population", numbers[2])
distances <- list(linear = cal.linear, raking = cal.raking, logit = cal.logit)
for (name in names(distances)) {
  bounds <- if (name == "logit") numbers[3:4] else c(-Inf, Inf)
  seconds <- numeric(numbers[5])
  for (i in seq_along(seconds)) {
    seconds[i] <- system.time(ratios <- survey::grake(
      columns, weights, distances[[name]], bounds = list(lower = bounds[1], upper = bounds[2]),
      population = population, epsilon = 1e-9, verbose = FALSE, maxit = 100
    ))[["elapsed"]]
  }
  writeBin(as.vector(ratios) * weights, file.path(folder, name))
  cat(name, median(seconds), "\n")
}
