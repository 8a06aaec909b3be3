import numpy as np
import pytest

from l0.calibration import CalibrationProblem
from l0.calibration.reading import read_tables
from l0.common.errors import InputError


def test_the_fields_are_those_of_the_problem(survey):
    given = survey.options()
    problem = CalibrationProblem.from_frames(**given)
    records, targets = given.pop("records"), given.pop("targets")
    fields = read_tables(records, targets, given).fields
    for name in ("values", "design_weights", "importance", "target_order", "record_order"):
        np.testing.assert_array_equal(fields[name], getattr(problem, name))
    assert (fields["matrix"] != problem.matrix).nnz == 0
    assert fields["names"] == problem.names


def test_what_is_refused_by_default_can_be_collected(survey):
    persons = survey.persons.assign(household=survey.persons["household"].replace(1000, 7))
    targets = survey.targets.assign(state=survey.targets["state"].replace("06", "6"))
    options = {"key": "household", "weight": "weight", "members": {"person": persons}}
    found = []
    tables = read_tables(survey.households, targets, options, found.append)
    assert [finding.about for finding in found] == ["members", "levels"]
    assert tables.survey.members["person"].table.num_rows == (persons["household"] != 7).sum()
    for finding in found:
        with pytest.raises(InputError) as raised:
            read_tables(survey.households, targets, options)
        if finding is found[0]:
            assert str(raised.value) == finding.text
