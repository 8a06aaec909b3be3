import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from l0.calibration import CalibrationProblem
from l0.calibration.checkpoints.fingerprint import (
    _digest,
    describe_arguments,
    describe_problem,
    differences,
)
from l0.calibration.results.provenance import digest
from tests.calibration import problems


def of(problem, **arguments):
    return {
        "problem": describe_problem(problem),
        "arguments": describe_arguments(arguments),
        "versions": {"l0-python": "1"},
    }


def made(survey):
    return of(CalibrationProblem.from_frames(**survey.options()))


def test_the_same_rows_in_another_order_and_in_chunks_are_the_same(survey):
    before = made(survey)
    table = pa.Table.from_pandas(survey.persons, preserve_index=False)
    options = {**survey.options(), "members": {"person": pa.concat_tables([table[:9], table[9:]])}}
    assert differences(before, of(CalibrationProblem.from_frames(**options))) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda s: s.households.loc.__setitem__((3, "wealth"), 5.0),
            "the column 'wealth' of `records` differs",
        ),
        (
            lambda s: s.households.insert(0, "new", 1),
            "the column 'new' of `records` differs",
        ),
        (
            lambda s: s.persons.insert(0, "rank", 1),
            "the column 'rank' of `members['person']` differs",
        ),
        (
            lambda s: s.targets.loc.__setitem__((3, "value"), 5.0),
            "the values of the targets differ",
        ),
        (
            lambda s: s.targets.insert(0, "tolerance", 0.1),
            "the tolerances of the targets differ",
        ),
    ],
)
def test_what_differs_is_named(survey, change, said):
    before = made(survey)
    change(survey)
    assert said in differences(before, made(survey))


def test_labels_in_another_column_with_the_same_records_are_named(survey):
    survey.households["region"] = survey.households["state"]
    survey.targets["name"] = [f"target {row}" for row in range(len(survey.targets))]
    survey.targets["group"] = "all"
    before = made(survey)
    survey.targets.insert(0, "region", survey.targets.pop("state"))
    assert differences(before, made(survey)) == ["the labels of the targets differ"]


def test_what_differs_in_a_matrix_is_named():
    parts = problems.parts()
    before = of(CalibrationProblem.from_matrix(**parts))
    parts["A"].data[3] += 1
    after = of(CalibrationProblem.from_matrix(**parts, untargeted=parts["A"]))
    assert differences(before, after) == [
        "the matrix of targets by records differs", "`untargeted` differs",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"), [(["a", "b\nc"], ["a\nb", "c"]), (["a", "b\\\nc"], ["a\\\nb", "c"])]
)
def test_line_breaks_in_names_are_no_ends_of_names(one, other):
    parts = {"A": np.eye(2), "values": [1, 2], "weights": [1, 1]}
    before, now = (CalibrationProblem.from_matrix(**parts, names=names) for names in (one, other))
    assert differences(of(before), of(now)) == ["the names of the targets differ"]
    assert digest(before) != digest(now)


def test_arguments_are_named_with_both_values():
    problem = problems.problem()
    before, now = of(problem, seed=1, bounds=None), of(problem, seed=2, quotas="x")
    assert differences(before, now) == [
        "`seed` is 2, and was 1",
        "`quotas` is 'x', and was nothing",
        "`bounds` is nothing, and was None",
    ]


def test_an_object_of_another_process_is_the_same():
    assert describe_arguments({"method": object()}) == {"method": "<object object>"}


def test_the_digest_of_an_array_makes_no_copy_of_it():
    array = np.ones(2_000_000)
    tracemalloc.start()
    _digest(array, sp.csr_array(np.ones((1, 9))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < array.nbytes / 4
