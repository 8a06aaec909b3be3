import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from l0.calibration import CalibrationProblem, Jackknife
from l0.calibration.checkpoints.fingerprint import describe_problem
from l0.calibration.results.provenance import digest
from l0.common.errors import InputError
from l0.data.part_files import Parts, read_parts, write_parts
from tests.calibration import problems


def again(problem, folder):
    problem.save(folder / "problem.l0")
    return CalibrationProblem.load(folder / "problem.l0")


def assert_same_problem(one, other):
    assert describe_problem(one) == describe_problem(other)
    assert digest(one) == digest(other)
    assert one.inputs == other.inputs
    assert one.kind == other.kind
    assert one.n_dropped == other.n_dropped
    assert str(one) == str(other)
    assert (one.labels is None) == (other.labels is None)
    assert one.labels is None or one.labels.equals(other.labels)


def assert_same_result(one, other):
    np.testing.assert_array_equal(one.indices, other.indices)
    np.testing.assert_array_equal(one.values, other.values)
    assert one.run == other.run
    for name in one.tables.keys() - {"history"}:
        assert one.tables[name].equals(other.tables[name]), name
    assert type(one.weights) is type(other.weights)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compiled")


@settings(max_examples=30)
@given(st.data())
def test_any_matrix_comes_back(folder, data):
    m, n = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 9))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    kind = data.draw(st.sampled_from([np.float32, np.float64, np.int8]))
    A = sp.random_array(
        (m, n), density=data.draw(st.sampled_from([0.0, 0.4, 1.0])), random_state=rng
    )
    texts = st.text(min_size=1, max_size=4).filter(str.strip)
    given = {
        "A": (A * 9).astype(kind),
        "values": rng.normal(size=m),
        "weights": rng.uniform(1, 2, n),
        "names": data.draw(st.none() | st.lists(texts, min_size=m, max_size=m, unique=True)),
        "groups": data.draw(st.none() | st.lists(texts, min_size=m, max_size=m)),
        "keys": data.draw(
            st.none()
            | st.lists(st.integers(), min_size=n, max_size=n, unique=True).filter(
                lambda keys: max(map(abs, keys)) < 2**62
            )
            | st.lists(texts, min_size=n, max_size=n, unique=True)
        ),
        "untargeted": data.draw(st.none() | st.just(A)),
    }
    problem = CalibrationProblem.from_matrix(**given)
    assert_same_problem(problem, again(problem, folder))


OPTIONS = [
    {"n_records": 60, "epochs": 8, "replicates": Jackknife(6, strata="state")},
    {
        "n_records": 60,
        "method": "cube",
        "bounds": (None, "income"),
        "holdout": "*65+*",
        "must_keep": "chosen",
        "integer_weights": True,
    },
    {"n_records": None, "distance": "linear"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: str(options.get("method")))
def test_a_survey_that_comes_back_gives_the_same_bits(survey, tmp_path, options):
    survey.households["chosen"] = np.arange(400) % 20 == 0
    problem = CalibrationProblem.from_frames(**survey.options())
    assert_same_result(problem.solve(**options), again(problem, tmp_path).solve(**options))


@pytest.mark.parametrize("kind", ["pandas", "polars"], indirect=True)
def test_every_kind_of_survey_comes_back(survey, kind, convert, tmp_path):
    options = survey.options(lambda frame, name: convert(frame, kind, name))
    problem = CalibrationProblem.from_frames(**options)
    loaded = again(problem, tmp_path)
    assert_same_problem(problem, loaded)
    assert loaded.survey.records.table.equals(problem.survey.records.table)
    one, other = (each.check(max_seconds=60).table for each in (problem, loaded))
    assert one.equals(other)


def test_means_shares_limits_and_dropped_records_come_back(survey, tmp_path):
    survey.households.loc[:3, "weight"] = 0
    totals = survey.targets.assign(statistic="total").to_dict("records")
    mean = {"variable": "income", "statistic": "mean", "at_least": 3e4}
    ratio = {"variable": "income", "statistic": "ratio", "denominator": "wealth", "value": 9.0,
             "state": "01"}  # fmt: skip
    targets = pd.DataFrame([*totals, mean, ratio])
    targets = targets[targets["value"] != 0]
    options = {
        **survey.options(),
        "targets": targets.fillna({"entity": ""}),
        "zero_weights": "drop",
    }
    survey.households["wealth"] = survey.households["wealth"].abs() + 1
    problem = CalibrationProblem.from_frames(**options)
    loaded = again(problem, tmp_path)
    assert_same_problem(problem, loaded)
    assert_same_result(problem.solve(90, epochs=8), loaded.solve(90, epochs=8))
    assert_same_result(
        problem.solve(90, epochs=8, holdout="group:*income*"),
        loaded.solve(90, epochs=8, holdout="group:*income*"),
    )


def test_a_frontier_and_a_cross_validation_are_the_same(tmp_path):
    problem = problems.problem()
    loaded = again(problem, tmp_path)
    one, other = (each.frontier([20, 40], epochs=8).table for each in (problem, loaded))
    assert one.drop_columns("seconds").equals(other.drop_columns("seconds"))
    one, other = (each.cross_validate(["t00*"]) for each in (problem, loaded))
    assert one.drop_columns("seconds").equals(other.drop_columns("seconds"))


def test_a_problem_can_be_saved_where_it_was_loaded_from(tmp_path):
    problem = problems.problem()
    loaded = again(problem, tmp_path)
    assert_same_problem(again(loaded, tmp_path), problem)
    assert [path.name for path in tmp_path.iterdir()] == ["problem.l0"]


def test_a_newer_file_is_refused(tmp_path):
    problems.problem().save(tmp_path / "problem.l0")
    parts = read_parts(tmp_path / "problem.l0", "path")
    newer = Parts({**parts.plain, "format": 2}, parts.arrays, parts.tables)
    write_parts(tmp_path / "newer.l0", newer)
    with pytest.raises(
        InputError, match="another version of l0 wrote '.*newer.l0' .its layout is 2"
    ):
        CalibrationProblem.load(tmp_path / "newer.l0")


def test_a_file_of_other_parts_is_refused(tmp_path):
    write_parts(tmp_path / "other", Parts({"k": 1}, {}, {}))
    with pytest.raises(InputError, match="has no problem in it"):
        CalibrationProblem.load(tmp_path / "other")


def test_a_damaged_file_is_refused(tmp_path):
    problems.problem().save(tmp_path / "problem.l0")
    whole = (tmp_path / "problem.l0").read_bytes()
    (tmp_path / "problem.l0").write_bytes(whole[:100] + b"!" + whole[101:])
    with pytest.raises(
        InputError, match="`path`: '.*problem.l0' is damaged: its bytes have changed"
    ):
        CalibrationProblem.load(tmp_path / "problem.l0")
