"""Standard errors beside those of R's package survey, which reads the folder of a result."""

import shutil
import subprocess
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import l0
from l0.calibration import Jackknife
from tests.calibration.variance.samples import with_replicates

#: What `how_to_read_replicates.md` says for R is run as it stands, and the estimates after it.
ESTIMATES = """
options(digits = 15)
show <- function(name, of, deff = NA) cat(name, coef(of), SE(of), deff, "", sep = ",", fill = 500)
of <- svytotal(~income, design, deff = "replace")
show("total", of, deff(of))
of <- svymean(~income, design, deff = "replace")
show("mean", of, deff(of))
show("ratio", svyratio(~income, ~wealth, design))
inside <- subset(design, state == "06")
show("domain total", svytotal(~income, inside))
show("domain mean", svymean(~income, inside))
of <- svytotal(~I((state == "06") * 1), design, deff = "replace")
show("domain count", of, deff(of))
show("share", svyratio(~I(income * (state == "06")), ~income, design))
median <- svyquantile(~income, design, 0.5, df = degf(design))[[1]]
cat("median", median[1], median[4], NA, median[2], median[3], sep = ",", fill = 500)
apart <- svyby(~income, ~state, design, svymean, covmat = TRUE)
show("difference", svycontrast(apart, c("06" = 1, "01" = -1)))
persons <- merge(read.csv("persons.csv"), replicates, by = "household")
persons <- svrepdesign(
  data = persons, weights = ~weight, repweights = "^rw[0-9]+$", type = "other", scale = 1,
  rscales = design$rscales, combined.weights = TRUE, mse = TRUE
)
show("member mean", svymean(~earnings, persons))
"""


def in_r(code, folder):
    rscript = shutil.which("Rscript")
    if rscript is None:
        pytest.skip("there is no Rscript; on Debian: apt-get install r-base-core r-cran-survey")
    ended = subprocess.run(
        [rscript, "--vanilla", "-e", code], cwd=folder, capture_output=True, text=True, check=False
    )
    if "there is no package called" in ended.stderr:
        pytest.skip("R has no package survey; on Debian: apt-get install r-cran-survey")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture
def result(survey):
    return with_replicates(l0.calibrate(**survey.options(), n_records=120, epochs=8), n_groups=20)


def test_r_reads_the_folder_and_gives_our_standard_errors(result, survey, tmp_path):
    result.save(tmp_path / "out")
    households = survey.households.drop(columns="weight")
    households["wealth"] += 5000  # a denominator far from 0
    households.to_csv(tmp_path / "out" / "survey.csv", index=False)
    survey.persons.to_csv(tmp_path / "out" / "persons.csv", index=False)
    text = (tmp_path / "out" / "how_to_read_replicates.md").read_text(encoding="utf-8")
    snippet = (
        text.split("```r\n")[1]
        .split("```")[0]
        .replace(
            'read.csv("survey.csv")', 'read.csv("survey.csv", colClasses = c(state = "character"))'
        )
    )
    printed = in_r(snippet + ESTIMATES, tmp_path / "out")
    printed = printed[printed.index("total,") :]
    of_r = pd.read_csv(StringIO(printed), header=None, index_col=0, names=range(7)).to_dict("index")

    def check(name, found, deff=False):
        (row,) = found.to_dict("records")
        _, estimate, error, effect, low, high = (of_r[name][place] for place in [1, *range(1, 6)])
        assert row["estimate"] == pytest.approx(estimate, rel=1e-6), name
        assert row["standard_error"] == pytest.approx(error, rel=1e-6), name
        if deff:
            assert row["design_effect"] == pytest.approx(effect, rel=1e-6), name
        return row, low, high

    def asked(*question, **more):
        found = result.estimate(households, *question, **more)
        return found[found["state"] == "06"] if "by" in more else found

    check("total", asked("income"), deff=True)
    check("mean", asked("income", statistic="mean"), deff=True)
    check("ratio", asked("income", statistic="ratio", denominator="wealth"))
    check("domain total", asked("income", by="state"))
    check("domain mean", asked("income", by="state", statistic="mean"))
    check("domain count", asked(by="state"), deff=True)
    check("share", asked("income", by="state", statistic="share"))
    row, low, high = check("median", asked("income", statistic="quantile", q=0.5))
    assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))
    check(
        "difference",
        asked("income", by="state", statistic="mean", compared_with={"state": "01"}),
    )
    check("member mean", result.estimate(survey.persons, "earnings", statistic="mean"))


def test_the_form_without_factors_is_close_in_r(result, survey, tmp_path):
    result.save(tmp_path / "out")
    code = """
    suppressMessages(library(survey))
    data <- read.csv("replicates_jk1.csv")
    columns <- data[grep("^rw", names(data))]
    design <- svrepdesign(
      data = data, weights = ~weight, repweights = columns, type = "JK1",
      scale = (ncol(columns) - 1) / ncol(columns), combined.weights = TRUE, mse = TRUE
    )
    cat(SE(svytotal(~I(household %% 10), design)), ncol(columns))
    """
    error, columns = map(float, in_r(code, tmp_path / "out").split())
    table = pd.DataFrame({"household": survey.households["household"]})
    table["digit"] = table["household"] % 10
    assert columns == 24
    assert np.isclose(error, result.estimate(table, "digit")["standard_error"].iloc[0], rtol=0.02)


#: The delete-one jackknife of R on the schools of `api`, each replicate calibrated to the totals.
JACKKNIFE = """
suppressPackageStartupMessages(library(survey))
options(digits = 15)
schools <- read.csv("records.csv.gz")
for (label in c("stype", "sch.wide")) schools[[label]] <- factor(schools[[label]])
totals <- read.csv("totals.csv", check.names = FALSE)
population <- setNames(totals$value, totals$name)
unit <- mean(schools$api99)  # grake fails if one column is 1e3 times another
schools$api99 <- schools$api99 / unit
amounts <- grepl("api99", names(population))
population[amounts] <- population[amounts] / unit
design <- as.svrepdesign(svydesign(~1, weights = ~pw, data = schools), type = "JK1", mse = TRUE)
of <- calibrate(design, ~0 + stype + sch.wide + stype:api99, population, calfun = "raking",
                epsilon = 1e-12, maxit = 1000)
cat(SE(svytotal(~api00, of)), SE(svymean(~api00, of)))
"""


def test_the_jackknife_of_all_records_is_r_s():
    data = Path(__file__).parent / "data" / "api"
    of_r = [float(number) for number in in_r(JACKKNIFE, data).split()]
    schools = pd.read_csv(data / "records.csv.gz")
    options = {"weight": "pw", "replicates": Jackknife(len(schools))}
    result = l0.calibrate(schools, data / "totals.csv", **options)
    ours = [
        result.estimate(schools, "api00", statistic=statistic)["standard_error"].item()
        for statistic in ("total", "mean")
    ]
    np.testing.assert_allclose(ours, of_r, rtol=1e-6)
