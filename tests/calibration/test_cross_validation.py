import re

import numpy as np
import pytest

from l0.calibration import CalibrationProblem
from l0.common.errors import InputError
from tests.calibration import problems

FAMILIES = ["t00[0-4]", ["t01*", "t005"], "group:b"]
OPTIONS = {"n_records": 60, "method": "pps", "seed": 3}


@pytest.fixture(scope="module")
def problem():
    return CalibrationProblem.from_matrix(**problems.parts(), groups=["a", "b"] * 10)


@pytest.fixture(scope="module")
def rows(problem):
    return problem.cross_validate(FAMILIES, **OPTIONS).to_pylist()


def test_each_row_is_the_run_without_its_family(problem, rows):
    assert [row["family"] for row in rows] == ["t00[0-4]", "t01*, t005", "group:b"]
    for family, row in zip(FAMILIES, rows, strict=True):
        alone = problem.solve(**OPTIONS, holdout=family)
        assert row["held_out_error"] == alone.metrics["holdout_capped_error"]
        assert row["n_targets"] == alone.metrics["n_holdout"]
        assert row["n_records"] == 60 and row["seconds"] > 0


def test_beside_it_are_the_fit_of_all_and_the_design_weights(problem, rows):
    together = problem.solve(**OPTIONS).targets.to_pandas()
    of = {
        "t00[0-4]": np.arange(20) < 5,
        "t01*, t005": (np.arange(20) >= 10) | (np.arange(20) == 5),
        "group:b": np.arange(20) % 2 == 1,
    }
    for row in rows:
        # Within a family, each group counts the same.
        part = together[of[row["family"]]]
        error = part[["relative_error", "design_relative_error"]].abs().clip(upper=1)
        means = error.groupby(part["group"]).mean().mean()
        assert row["fitted_error"] == pytest.approx(means["relative_error"])
        assert row["design_error"] == pytest.approx(means["design_relative_error"])


def test_the_frame_is_of_the_kind_of_the_records(survey):
    options = survey.options()
    problem = CalibrationProblem.from_frames(
        options.pop("records"), options.pop("targets"), **options
    )
    table = problem.cross_validate(["wealth*"], method="random", n_records=100)
    assert list(table["family"]) == ["wealth*"]
    assert table["fitted_error"][0] < table["held_out_error"][0]


@pytest.mark.parametrize(
    ("families", "options", "text"),
    [
        (["t00*", "x*"], {}, "`families` has the pattern 'x*', which matches the name of no"),
        (["t00*", "*"], {}, "`families` ('*') holds out all 20 targets"),
        ("t00*", {}, "`families` is 't00*'; pass a list of patterns"),
        ([], {}, "`families` is []; pass a list of patterns"),
        ([3], {}, "`families` is [3]; each must be a pattern, or a list of some"),
        ([[]], {}, "`families` is [[]]; each must be a pattern, or a list of some"),
        (
            ["t00*", "t01*", ["t00*"]],
            {},
            "`families` has several families with the name 't00*'; dr",
        ),
        (["t00*", ["t00*", "t01*"]] * 2, {}, "with the name 't00*', 't00*, t01*'; drop the repea"),
        (["t00*"], {"holdout": "t01*"}, "`holdout`: a cross-validation holds out each"),
        (["t00*"], {"replicates": 10}, "`replicates`: a cross-validation keeps errors alone"),
    ],
)
def test_wrong_families_are_named_before_the_first_fit(problem, families, options, text):
    def never(state):
        raise AssertionError(state)

    with pytest.raises(InputError, match=re.escape(text)):
        problem.cross_validate(families, 50, progress=never, **options)


def test_families_whose_patterns_have_commas_have_two_names():
    names = ["a", "b, c", "a, b", "c", "d"]
    parts = {**problems.parts(), "names": [*names, *map(str, range(15))]}
    problem = CalibrationProblem.from_matrix(**parts)
    families = [["a", "b, c"], ["a, b", "c"], "d"]
    rows = problem.cross_validate(families, n_records=60, method="random").to_pylist()
    assert [row["family"] for row in rows] == ['a, "b, c"', '"a, b", c', "d"]
    assert [row["n_targets"] for row in rows] == [2, 2, 1]
