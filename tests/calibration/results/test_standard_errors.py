import numpy as np
import pyarrow as pa
import pytest

import l0
from l0.calibration import CalibrationResult
from l0.calibration.results.standard_errors import standard_error_rows
from tests.calibration.results.test_result import solve
from tests.calibration.variance.samples import with_replicates


@pytest.fixture
def plain(survey):
    return l0.calibrate(**survey.options(), n_records=120, epochs=8)


def test_targets_and_untargeted_statistics_have_the_standard_errors_of_their_estimates(
    plain, survey
):
    result = with_replicates(plain)
    assert "standard_error" not in plain.targets and "standard_error" not in plain.untargeted
    row = survey.targets.index[
        (survey.targets["variable"] == "count")
        & (survey.targets["state"] == "36")
        & (survey.targets["entity"] == "person")
    ][0]
    persons = survey.persons.merge(survey.households[["household", "state"]])
    expected = result.estimate(persons, by="state").set_index("state").loc["36"]
    assert result.targets["estimate"][row] == pytest.approx(expected["estimate"])
    assert result.targets["standard_error"][row] == pytest.approx(expected["standard_error"])
    found = result.untargeted.set_index("statistic")["standard_error"]
    homes = survey.households
    asked = result.estimate(homes[homes["income"] != 0], "income", statistic="mean")
    assert found["mean income where not 0"] == pytest.approx(asked["standard_error"][0])
    asked = result.estimate(homes, by=["owner", "year"])
    expected = asked[asked["owner"] & (asked["year"] == 2022)]["standard_error"].iloc[0]
    assert found["count by owner=true, year=2022"] == pytest.approx(expected)
    asked = result.estimate(survey.persons.merge(homes), by=["age", "band"])
    expected = asked[(asked["age"] == "65+") & (asked["band"] == "low")]["standard_error"].iloc[0]
    assert found["person count by age=65+, band=low"] == pytest.approx(expected)


def test_they_are_saved_shown_and_reported(plain, tmp_path):
    result = with_replicates(plain)
    result.save(tmp_path / "out")
    loaded = CalibrationResult.load(tmp_path / "out", kind="pandas")
    for name in ("targets", "untargeted"):
        assert loaded.tables[name].equals(result.tables[name])
    assert "Standard errors" in loaded.summary() and "Held out, two label" in loaded.summary()
    assert max(map(len, loaded.summary().splitlines())) <= 80
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Standard errors by family" in page and "21 replicate weights" in page
    assert "Standard errors" not in plain.summary()
    trimmed = result.trim(upper=float(np.quantile(result.values, 0.9)))
    assert "Standard errors" not in trimmed.summary()


def test_families_are_counted_with_their_median():
    result = with_replicates(solve())
    head, rows = standard_error_rows(result.tables)
    assert head == ("Standard errors", "Number", "Median", "90% are below")
    assert [row[:2] for row in rows] == [("Targets: all", "8"), ("Held out, overall", "3")]
    targets = result.tables["targets"]
    shares = np.array(targets.column("standard_error")) / np.array(targets.column("estimate"))
    assert float(rows[0][2].rstrip("%")) == pytest.approx(100 * np.median(shares), rel=0.01)


def test_a_label_column_with_a_comma_in_its_name_is_one_column(survey):
    names = {"owner": "owner, or not", "band": "band"}
    options = survey.options()
    options["records"] = options["records"].rename(columns=names)
    options["targets"] = options["targets"].rename(columns=names)
    result = with_replicates(l0.calibrate(**options, n_records=120, epochs=8))
    usual = with_replicates(l0.calibrate(**survey.options(), n_records=120, epochs=8))
    titles = [[row[:2] for row in standard_error_rows(of.tables)[1]] for of in (result, usual)]
    assert titles[0] == titles[1]
    assert '"owner, or not", year' in set(result.untargeted["by"])


def test_an_estimate_of_0_has_no_share():
    table = pa.table(
        {
            "group": ["a", "a"],
            "status": ["met", "met"],
            "estimate": [0.0, 4.0],
            "standard_error": [1.0, 1.0],
        }
    )
    assert standard_error_rows({"targets": table})[1] == [("Targets: a", "1", "25%", "25%")]
