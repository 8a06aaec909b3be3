import numpy as np
import pytest

from l0.calibration import CalibrationProblem
from l0.calibration.problem.survey_design import read_labels, read_replicate_columns
from l0.common.errors import InputError
from tests.calibration import problems


def test_labels_are_those_of_the_records_in_their_order(survey):
    problem = CalibrationProblem.from_frames(**survey.options())
    codes, levels = read_labels(problem, "state", "strata")
    by_key = survey.households.sort_values("household")["state"].to_list()
    assert [levels[code] for code in codes] == by_key


def test_labels_of_a_matrix_are_an_array_in_the_order_of_the_input():
    given = problems.parts(n=6)
    given["keys"] = given["keys"][::-1].copy()
    problem = CalibrationProblem.from_matrix(**given)
    codes, levels = read_labels(problem, ["a", "a", "b", "b", "c", "c"], "clusters")
    assert [levels[code] for code in codes] == ["c", "c", "b", "b", "a", "a"]


def test_wrong_labels_are_refused(survey):
    options = survey.options()
    options["records"].loc[[2, 5], "band"] = None
    problem = CalibrationProblem.from_frames(**options)
    with pytest.raises(InputError, match="`strata` names the column 'bend'.*closest: 'band'"):
        read_labels(problem, "bend", "strata")
    with pytest.raises(InputError, match="'band', which is empty in 2 records"):
        read_labels(problem, "band", "strata")
    with pytest.raises(InputError, match="`clusters` is list; name a column of the records"):
        read_labels(problem, ["a"] * 400, "clusters")
    with pytest.raises(InputError, match="names a column, 'psu', and a problem from a matrix"):
        read_labels(problems.problem(), "psu", "clusters")


def test_replicate_columns_are_shares_of_the_design_weights(survey):
    options = survey.options()
    records = options["records"]
    records["rep"], records["zero"] = 2 * records["weight"], 0
    problem = CalibrationProblem.from_frames(**options)
    found = read_replicate_columns(problem, ["rep", "zero"])
    np.testing.assert_allclose(found, np.tile([2.0, 0.0], (400, 1)))
