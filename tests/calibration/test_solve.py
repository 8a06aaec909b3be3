import json
from typing import Annotated

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration import SELECTORS, CalibrationProblem, Solver
from l0.calibration.evaluation.metrics import fit_metrics, weight_metrics
from l0.calibration.fitting import choice
from l0.calibration.fitting.nesting import Nesting
from l0.calibration.options import Option, Options, known
from l0.calibration.problem.core import FLOOR
from l0.calibration.selection.balanced import Balanced
from l0.calibration.solve import check_scale
from l0.common.errors import InputError
from tests.calibration import problems
from tests.calibration.fitting import matrices


@pytest.fixture(scope="module")
def problem():
    return problems.problem()


# Options


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n_records": 0}, r"`n_records` must be an integer from 1 to .* 300, got 0"),
        (
            {"n_records": -3},
            r"`n_records` must be an integer from 1 to the number of records, 300, got -3",
        ),
        (
            {"n_records": 301},
            r"`n_records` must be an integer from 1 to the number of records, 300, got 301",
        ),
        (
            {"n_records": 10.0},
            r"`n_records` must be an integer from 1 to the number of records, 300, got 10.0",
        ),
        (
            {"n_records": "10"},
            r"`n_records` must be an integer from 1 to the number of records, 300, got '10'",
        ),
        (
            {"n_records": True},
            r"`n_records` must be an integer from 1 to the number of records, 300, got True",
        ),
        (
            {"n_records": False},
            r"`n_records` must be an integer from 1 to the number of records, 300, got False",
        ),
        ({"seed": -1}, r"`seed` must be an integer of at least 0, got -1"),
        ({"seed": 0.5}, r"`seed` must be an integer of at least 0, got 0.5"),
        ({"seed": None}, r"`seed` must be an integer of at least 0, got None"),
        ({"seed": True}, r"`seed` must be an integer of at least 0, got True"),
        ({"epochs": 0}, r"`epochs` must be an integer of at least 1, got 0"),
        ({"epochs": 2.5}, r"`epochs` must be an integer of at least 1, got 2.5"),
        ({"check_scale": 0}, r"`check_scale` must be True or False, got 0"),
        ({"check_scale": None}, r"`check_scale` must be True or False, got None"),
        ({"check_scale": "no"}, r"`check_scale` must be True or False, got 'no'"),
        ({"integer_weights": 1}, r"`integer_weights` must be True or False, got 1"),
        ({"epochs": True}, r"`epochs` must be an integer of at least 1, got True"),
        ({"device": "abacus"}, r"`device` 'abacus' cannot be used here \(.*\); try 'cpu'"),
        ({"device": ["cpu"]}, r"`device` \['cpu'\] cannot be used here"),
        ({"bounds": (2, 1)}, r"`bounds` cross"),
        ({"method": "best"}, r"`method` is 'best'; it must be one of 'hybrid', 'path'"),
        ({"loss": "best"}, r"`loss` is 'best'; it must be one of 'capped', 'relative'"),
    ],
)
def test_bad_options_are_named(problem, options, text):
    with pytest.raises(InputError, match=text):
        problem.solve(**{"n_records": 10, **options})


def test_options_are_checked_before_anything_is_computed(problem):
    def never(state):
        raise AssertionError(state)

    for options in ({"method": "best"}, {"loss": "best"}, {"bounds": (2, 1)}, {"seed": -1}):
        with pytest.raises(InputError):
            problem.solve(10, progress=never, **options)


def test_numbers_of_numpy_are_numbers(problem):
    result = problem.solve(
        np.int64(20), seed=np.uint8(3), epochs=np.int32(8), bounds=np.array([0, 900])
    )
    same = problem.solve(20, seed=3, epochs=8, bounds=(None, 900.0), device=torch.device("cpu"))
    np.testing.assert_array_equal(result.values, same.values)
    assert result.run["arguments"] == same.run["arguments"]


def test_the_run_says_how_to_repeat_it(problem):
    result = problem.solve(20, "pps", loss="relative", bounds=(0, np.inf), seed=4, epochs=8)
    assert json.loads(json.dumps(result.run, allow_nan=False)) == result.run
    arguments = dict(result.run["arguments"])
    assert arguments == {
        "n_records": 20,
        "method": "pps",
        "loss": "relative",
        "bounds": None,
        "weight_bounds": None,
        "must_keep": None,
        "quotas": None,
        "holdout": None,
        "represent": None,
        "seed": 4,
        "device": arguments["device"],
        "epochs": 8,
        "distance": "raking",
        "exact": False,
        "keep_total": False,
        "integer_weights": False,
        "solver": {"gap": 1e-3, "max_seconds": None},
        "replicates": None,
        "check_scale": True,
    }
    arguments["solver"] = Solver(**arguments["solver"])
    np.testing.assert_array_equal(problem.solve(**arguments).values, result.values)
    assert {"python", "torch", "numpy", "scipy"} <= set(result.run["versions"])
    assert len(result.run["problem_sha256"]) == 64


def test_the_digest_tells_problems_apart(problem):
    def digest(**changes):
        given = CalibrationProblem.from_matrix(**{**problems.parts(), **changes})
        return given.solve(5, "random", epochs=1).run["problem_sha256"]

    given = problems.parts()
    digests = {
        digest(),
        digest(values=given["values"] * 1.01),
        digest(weights=given["weights"] * 1.01),
        digest(A=given["A"] * 1.01),
        digest(names=[name + "!" for name in given["names"]]),
    }
    assert len(digests) == 5
    assert digest() in digests


# Progress


@pytest.mark.parametrize("method", ["hybrid", "path", "hard_concrete", "random", "pps", "cube"])
def test_a_callable_gets_the_state_at_increasing_iterations(problem, method):
    seen = []
    result = problem.solve(30, method, epochs=40, progress=seen.append)
    iterations = [state.iteration for state in seen]
    assert (np.diff(iterations) > 0).all()
    assert [state.stage for state in seen][-1] == "refit"
    assert seen[-1].n_records == 30
    assert all(0 <= state.loss <= 1 and state.n_records >= 30 for state in seen)
    assert result.tables["history"].to_pylist() == [vars(state) for state in seen]
    assert seen[-1].loss == pytest.approx(result.metrics["loss"], abs=0.01)


@pytest.mark.parametrize("method", ["hybrid", "path", "hard_concrete", "random", "pps", "cube"])
def test_history_and_log_end_with_the_refit_when_the_full_file_is_fitted_too(method):
    given = problems.parts()
    problem = CalibrationProblem.from_matrix(**given, untargeted=given["A"][:3])
    tables = problem.solve(30, method, epochs=100).tables
    assert tables["history"].column("stage").to_pylist()[-1] == "refit"
    last = tables["calibration_log"].slice(len(tables["calibration_log"]) - len(given["values"]))
    np.testing.assert_allclose(
        last.column("estimate"), tables["targets"].column("estimate"), rtol=0.01
    )


def test_what_a_listener_raises_ends_the_fit(problem):
    def stop(state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        problem.solve(30, epochs=8, progress=stop)


MODES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("mode", MODES)
def test_modes_of_torch_around_a_solve_change_nothing(mode):
    given = problems.parts()
    for method, n_records in (("hybrid", 60), ("hard_concrete", 60), ("path", None)):
        expected = CalibrationProblem.from_matrix(**given).solve(n_records, method, epochs=24)
        with MODES[mode]():
            found = CalibrationProblem.from_matrix(**given).solve(n_records, method, epochs=24)
        np.testing.assert_array_equal(found.values, expected.values)
    for method in ("hybrid", "path"):
        with MODES[mode]():
            front = CalibrationProblem.from_matrix(**given).frontier([60], method, epochs=24)
        alone = CalibrationProblem.from_matrix(**given).solve(60, method, epochs=24)
        assert front.table["loss"].to_pylist() == [alone.metrics["loss"]]


def test_nothing_is_printed(problem, capfd):
    problem.solve(30, epochs=8)
    A, weights, _ = areas()
    CalibrationProblem.from_matrix(A, [0, 12e3, 12e3, 12e3, 36e3], weights).solve()  # has a note
    assert capfd.readouterr() == ("", "")


# Notes


def test_notes_are_kept_printed_and_logged(caplog):
    A, weights, area = areas()
    out = f"{(area == 0).sum()} records have the weight 0, which a target of value 0 forces"
    result = CalibrationProblem.from_matrix(A, [0, 12e3, 12e3, 12e3, 36e3], weights).solve()
    assert result.run["notes"] == [out]
    assert [(record.name, record.message) for record in caplog.records] == [
        ("l0.calibration.solve", out)
    ]
    assert f"\n\n{out}" in str(result).replace("\n", " ").replace("  ", "\n\n")
    assert f"<p>{out}</p>" in result._repr_html_()


def test_a_fit_that_runs_out_of_time_is_a_result_that_says_so():
    problem = problems.contradicting()
    result = problem.solve(100, "random", solver=Solver(gap=1e-9, max_seconds=1e-6))
    assert result.metrics["fit_status"] == "stopped"
    assert 1e-9 < result.metrics["gap"] <= 1
    assert ["stopped by max_seconds" in note for note in result.run["notes"]] == [True]
    assert result.metrics["n_records"] == 100


def test_a_stopped_reference_is_noted_too():
    given = problems.parts()
    A = np.vstack([given["A"].toarray(), given["A"].toarray()])
    values = np.r_[given["values"], 2 * given["values"]]
    problem = CalibrationProblem.from_matrix(A, values, given["weights"])
    result = problem.solve(60, "pps", solver=Solver(gap=1e-9, max_seconds=1e-6))
    assert len(result.run["notes"]) == 2
    assert "the reference of this one" in result.run["notes"][1]


def test_negative_weights_of_the_linear_distance_are_a_note():
    A = np.vstack([np.ones(50), np.arange(50.0)])
    problem = CalibrationProblem.from_matrix(A, [5000, 25_000], np.full(50, 100.0))
    result = problem.solve(distance="linear")
    assert result.metrics["fit_status"] == "exact"
    negative = (result.values < 0).sum()
    assert negative > 0
    assert result.run["notes"][0].startswith(f"{negative} of 50 weights are negative")
    assert problem.solve().values.min() > 0


def test_the_call_repeats_a_run_with_every_option(problem):
    result = problem.solve(
        distance="logit", bounds=(0.1, 9.0), keep_total=True, solver=Solver(gap=1e-5),
        device="cpu",
    )  # fmt: skip
    room = {"problem": problem}
    exec(result.run["call"], room)  # noqa: S102
    np.testing.assert_array_equal(room["result"].values, result.values)
    assert "solver=Solver(gap=1e-05, max_seconds=None)" in result.run["call"]


# All records


def test_without_a_budget_all_records_are_calibrated(problem):
    result = problem.solve(epochs=100)
    assert result.indices.tolist() == list(range(300))
    assert result.metrics["max_error"] <= 1e-9
    assert result.metrics["effective_sample_size"] > 200
    assert set(result.history.column("stage").to_pylist()) == {"full"}
    assert result.run["arguments"]["n_records"] is None


def test_a_record_split_in_two_changes_nothing():
    given = problems.parts(m=10)
    first = CalibrationProblem.from_matrix(**given).solve(epochs=100)
    halves = np.r_[np.arange(300), np.arange(0, 300, 3)]
    weights = given["weights"].copy()
    weights[::3] /= 2
    split = CalibrationProblem.from_matrix(
        given["A"][:, halves], given["values"], weights[halves], given["names"]
    ).solve(epochs=100)
    for column in ("estimate", "design_estimate"):
        np.testing.assert_allclose(
            split.targets.column(column), first.targets.column(column), rtol=1e-3
        )
    whole = split.values[:300].copy()
    whole[::3] += split.values[300:]
    np.testing.assert_allclose(whole, first.values, rtol=0.02)
    np.testing.assert_allclose(split.values[:300:3], split.values[300:], rtol=1e-4)


def test_a_record_given_twice_weighs_the_same_both_times():
    given = problems.parts(m=10)
    twice = np.repeat(np.arange(300), 2)
    result = CalibrationProblem.from_matrix(
        given["A"][:, twice], given["values"], given["weights"][twice] / 2, given["names"]
    ).solve(epochs=50)
    np.testing.assert_allclose(result.values[::2], result.values[1::2], rtol=1e-4)


# The account


def test_the_account_agrees_with_weights_applied_by_hand():
    given = problems.parts()
    order = np.random.default_rng(3).permutation(300)
    keys = given["keys"][order]
    given |= {"A": given["A"][:, order], "weights": given["weights"][order], "keys": keys}
    result = CalibrationProblem.from_matrix(**given, groups=["a", "b"] * 10).solve(50, epochs=60)
    assert (np.diff(result.indices) > 0).all()
    table = result.tables["weights"]
    assert table.column_names == ["key", "weight", "design_weight"]
    np.testing.assert_array_equal(table.column("key"), keys[result.indices])
    np.testing.assert_array_equal(table.column("weight"), result.values)
    w0 = given["weights"][result.indices]
    np.testing.assert_array_equal(table.column("design_weight"), w0)

    estimate = given["A"].toarray()[:, result.indices] @ result.values
    error = estimate / given["values"] - 1
    targets = result.tables["targets"].to_pydict()
    assert targets["name"] == given["names"]
    assert targets["group"] == ["a", "b"] * 10
    np.testing.assert_array_equal(targets["value"], given["values"])
    np.testing.assert_allclose(targets["estimate"], estimate)
    np.testing.assert_allclose(targets["error"], estimate - given["values"], atol=1e-6)
    np.testing.assert_allclose(targets["relative_error"], error, atol=1e-12)
    np.testing.assert_allclose(targets["importance"], 1 / 20)
    np.testing.assert_allclose(targets["design_estimate"], given["A"] @ given["weights"])
    assert targets["status"] == ["met" if abs(e) <= 0.01 else "missed" for e in error]
    assert targets["reason"] == [""] * 20

    expected = {
        "n_records": 50,
        "n_candidates": 300,
        "n_forced_out": 0,
        "n_targets": 20,
        "n_unreachable": 0,
        **fit_metrics(error, np.full(20, 1 / 20)),
        "gap": 0,
        "n_holdout": 0,
        **weight_metrics(result.values, w0),
        "seconds": result.metrics["seconds"],
    }
    metrics = dict(result.metrics)
    assert metrics.pop("fit_status") == "exact"
    errors = ("holdout_median_error", "holdout_capped_error", "untargeted_median_error",
              "untargeted_capped_error", "represented_capped_error")  # fmt: skip
    assert {metrics.pop(name) for name in errors} == {None}
    assert metrics == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert result.untargeted is None


def test_untargeted_statistics_are_compared_with_the_full_file():
    given = problems.parts()
    statistics = np.random.default_rng(4).uniform(0, 1, (7, 300))
    full = CalibrationProblem.from_matrix(**given).solve(epochs=60)
    order = np.random.default_rng(5).permutation(300)
    problem = CalibrationProblem.from_matrix(
        **{
            **given,
            "A": given["A"][:, order],
            "weights": given["weights"][order],
            "keys": given["keys"][order],
        },
        untargeted=statistics[:, order],
    )
    result = problem.solve(50, epochs=60)
    table = result.untargeted.to_pydict()
    reference, estimate = (
        statistics @ full.values,
        statistics[:, order][:, result.indices] @ result.values,
    )
    np.testing.assert_allclose(table["reference"], reference)
    np.testing.assert_allclose(table["estimate"], estimate)
    error = np.abs(estimate / reference - 1)
    np.testing.assert_allclose(np.abs(table["relative_error"]), error)
    assert result.metrics["untargeted_median_error"] == pytest.approx(np.median(error))
    assert result.metrics["untargeted_capped_error"] == pytest.approx(error.mean())


def test_targets_of_zero_and_negative_targets_are_hit():
    given = problems.parts(m=10)
    A = given["A"].toarray()
    A[0] = np.where(np.arange(300) % 2, 1.0, -1.0)
    A[1] *= -1
    values = A @ given["weights"] * 1.05
    values[0] = 0
    result = CalibrationProblem.from_matrix(A, values, given["weights"]).solve(100, epochs=200)
    errors = result.targets.column("relative_error").to_numpy()
    # The scale of the target of value 0 is a share of what all records add, in size.
    scale = FLOOR * given["weights"].sum()
    assert errors[0] == pytest.approx(A[0, result.indices] @ result.values / scale)
    assert np.abs(errors).max() < 0.01
    assert set(result.targets.column("status").to_pylist()) == {"met"}


def test_a_target_with_no_record_behind_it_is_named_and_counted():
    given = problems.parts()
    A = given["A"].toarray()
    A[4] = 0
    result = CalibrationProblem.from_matrix(**{**given, "A": A}).solve(60, epochs=60)
    row = result.targets.slice(4, 1).to_pylist()[0]
    assert (row["status"], row["reason"]) == ("unreachable", "no record behind it")
    assert row["relative_error"] == -1
    assert result.metrics["n_unreachable"] == 1
    assert result.metrics["max_error"] == 1
    assert result.metrics["loss"] >= 1 / 20


# Scales


@pytest.mark.parametrize("factor", [1e-3, 100.0])
def test_weights_on_another_scale_than_the_targets_are_refused_with_the_factor(factor):
    given = problems.parts()
    problem = CalibrationProblem.from_matrix(**{**given, "weights": given["weights"] * factor})
    with pytest.raises(InputError, match=r"not on one scale.*multiply the weights by (9|1e\+03|0)"):
        problem.solve(50)


def checked(A, values, weights):
    """Whether the check of the scale lets a problem pass."""
    problem = CalibrationProblem.from_matrix(A, values, weights)
    try:
        check_scale(problem, np.ones(problem.n_targets, dtype=bool))
    except InputError as error:
        assert "pass `check_scale=False`" in str(error)
        return False
    return True


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(2, 7), st.booleans(), st.booleans())
def test_a_survey_in_another_unit_is_refused_whatever_its_size(seed, m, digits, smaller, negative):
    rng = np.random.default_rng(seed)
    A = sp.random_array((m, 200), density=0.1, random_state=rng) + sp.eye_array(m, 200)
    weights = rng.uniform(0.5, 1.5, 200)
    factor = 10 ** (-digits if smaller else digits) * rng.uniform(0.6, 1.7, m)
    sign = -1 if negative else 1
    assert not checked(sign * A, sign * (A @ weights) * factor, weights)
    assert checked(sign * A, sign * (A @ weights) * rng.uniform(0.1, 10, m), weights)


@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.floats(2, 7), st.booleans())
def test_rare_groups_may_be_off_by_any_factor(seed, rare, digits, smaller):
    rng = np.random.default_rng(seed)
    A = np.vstack([np.ones(200), np.eye(rare, 200)])
    weights = rng.uniform(50, 150, 200)
    values = A @ weights
    values[1:] *= 10 ** (-digits if smaller else digits)
    assert checked(A, values, weights)


def test_no_factor_that_all_share_is_no_other_unit():
    factors = np.geomspace(30, 3e6, 12)
    assert checked(np.eye(12), 100 * factors, np.full(12, 100.0))
    assert not checked(np.eye(12), 100 * np.full(12, 30), np.full(12, 100.0))


@pytest.mark.parametrize("more", [[], [40_000]])
@pytest.mark.parametrize("n_records", [None, 50])
def test_one_record_in_an_area_may_have_to_stand_for_many(more, n_records):
    in_area = np.eye(1, 400)[0]
    A = np.vstack([in_area, np.ones(400), 1 - in_area])[: 2 + len(more)]
    weights = np.random.default_rng(0).uniform(50, 150, 400)
    result = CalibrationProblem.from_matrix(A, [50_000, 90_000, *more], weights).solve(n_records)
    assert set(result.targets["status"].to_pylist()) == {"met"}


def test_the_check_of_the_scale_can_be_switched_off():
    problem = CalibrationProblem.from_matrix(np.eye(1, 400), [50_000], np.full(400, 100.0))
    with pytest.raises(InputError, match=r"pass `check_scale=False` \(on the .* --no-check-scale"):
        problem.solve(50)
    with pytest.raises(InputError, match="not on one scale"):
        problem.frontier([50])
    result = problem.solve(50, check_scale=False)
    assert result.targets["status"].to_pylist() == ["met"]
    assert result.run["arguments"]["check_scale"] is False
    assert problem.frontier([50], check_scale=False, epochs=8).table.num_rows == 1


def test_totals_of_amounts_that_cancel_say_nothing_of_the_scale():
    rng = np.random.default_rng(0)
    A = np.vstack([np.ones(200), rng.normal(0, 1000, (3, 200))])
    net = A[1:] @ np.full(200, 100.0)
    problem = CalibrationProblem.from_matrix(A, [2e4, *(net / 50)], np.full(200, 100.0))
    assert problem.solve(50, "pps").metrics["loss"] < 0.1


def test_a_small_net_total_is_met_however_far_off_it_starts():
    rng = np.random.default_rng(0)
    A = np.vstack([np.ones(500), rng.normal(0, 5000, 500)])
    w0 = rng.uniform(50, 150, 500)
    values = np.array([w0.sum(), 0.001 * np.abs(A[1]) @ w0])
    problem = CalibrationProblem.from_matrix(A, values, w0)
    assert abs(A[1] @ w0 - values[1]) > 20 * values[1]
    for method in ("hybrid", "path", "pps"):
        assert problem.solve(100, method).metrics["loss"] < 0.01


def test_the_full_file_is_free_of_the_bounds_of_a_few_records(problem):
    contexts = [
        problems.context(problem, bounds=bounds, full_file=True) for bounds in (None, (4, 90))
    ]
    np.testing.assert_array_equal(*[context.full_file for context in contexts])
    bounded = problem.solve(30, "random", bounds=(4, 90), epochs=50)
    ratios = bounded.values / problem.design_weights[bounded.indices]
    assert ratios.min() >= 4
    everybody = problem.solve(bounds=(0.9, 1.1), epochs=50)
    ratios = everybody.values / problem.design_weights
    assert 0.9 <= ratios.min() <= ratios.max() <= 1.1


def test_a_run_records_every_option_of_the_command_line(problem):
    arguments = problem.solve(30, "random", epochs=2).run["arguments"]
    named = {name for name, option in known(Options).items() if option.read is not None}
    named -= {"checkpoint", "resume"}  # no result depends on them
    assert arguments.keys() == {"method", "n_records", *named}


def test_a_run_records_a_new_option(problem, monkeypatch):
    new = Annotated[str, Option("str", "plain", "Something new.", str)]
    monkeypatch.setitem(Options.__annotations__, "new", new)
    assert problem.solve(30, "random", epochs=2, new="other").run["arguments"]["new"] == "other"


# Totals of zero


def areas(k=400, seed=0):
    """Counts of four areas and of all records; the area of each record."""
    rng = np.random.default_rng(seed)
    area = rng.integers(0, 4, k)
    A = np.vstack([area == np.arange(4)[:, None], np.ones(k)]).astype(float)
    return A, rng.uniform(50, 150, k), area


def test_a_total_of_zero_is_zero_with_all_records_kept():
    A, weights, area = areas()
    result = CalibrationProblem.from_matrix(A, [0, 12e3, 12e3, 12e3, 36e3], weights).solve()
    assert result.indices.tolist() == np.flatnonzero(area != 0).tolist()
    assert result.metrics["n_forced_out"] == (area == 0).sum()
    assert result.targets["estimate"].to_pylist()[0] == 0
    assert set(result.targets["status"].to_pylist()) == {"met"}
    assert f"{(area == 0).sum()} records have the weight 0" in result.summary()


@pytest.mark.parametrize("method", [*SELECTORS, Balanced()])
@pytest.mark.parametrize("k", [40, 250])
def test_no_method_chooses_a_record_that_a_total_of_zero_forces_out(method, k):
    A, weights, area = areas()
    order = np.random.default_rng(1).permutation(400)
    statistics = np.random.default_rng(2).uniform(size=(3, 400))
    results = [
        CalibrationProblem.from_matrix(
            A[:, of], [0, 12e3, 12e3, 12e3, 36e3], weights[of],
            keys=of, untargeted=statistics[:, of],
        ).solve(k, method, epochs=60)
        for of in (np.arange(400), order)
    ]  # fmt: skip
    kept = [results[0].indices, np.sort(order[results[1].indices])]
    np.testing.assert_array_equal(*kept)
    assert len(kept[0]) == k
    assert (area[kept[0]] != 0).all()
    assert results[0].targets["estimate"].to_pylist()[0] == 0
    assert np.isfinite(results[0].metrics["untargeted_capped_error"])


def test_a_total_of_zero_that_contradicts_another_target_is_weighed_against_it():
    A, weights, _ = areas()
    A, values = np.vstack([A, A[0]]), [0, 12e3, 12e3, 12e3, 36e3, 10e3]
    result = CalibrationProblem.from_matrix(A, values, weights).solve()
    assert result.metrics["n_forced_out"] == 0
    assert result.metrics["n_records"] == 400


def test_a_budget_above_what_totals_of_zero_leave_is_explained():
    A, weights, area = areas()
    problem = CalibrationProblem.from_matrix(A, [0, 12e3, 12e3, 12e3, 36e3], weights)
    left = (area != 0).sum()
    text = (
        rf"`n_records` is 400, and only {left} can be kept: {400 - left} of 400 records add to "
        r"targets of value 0 \('target 0'\), .* give them a `tolerance`, or lower `n_records`"
    )
    for solve in (problem.solve, lambda k: problem.frontier([10, k])):
        with pytest.raises(InputError, match=text):
            solve(400)
    assert problem.solve(int(left), "random", epochs=2).metrics["n_records"] == left
    nobody = CalibrationProblem.from_matrix(A[4:], [0], weights)
    with pytest.raises(InputError, match=r"^no record can be kept: 400 of 400 records add to"):
        nobody.solve()


def test_the_frontier_leaves_out_what_a_total_of_zero_forces_out():
    A, weights, area = areas()
    problem = CalibrationProblem.from_matrix(A, [0, 12e3, 12e3, 12e3, 36e3], weights)
    table = problem.frontier([40, 200], epochs=60).table
    assert table["n_forced_out"].to_pylist() == [(area == 0).sum()] * 2
    assert max(table["max_error"].to_pylist()) < 0.05


# Net totals near zero


@pytest.mark.parametrize(
    ("n_records", "method"), [(None, "hybrid"), (60, "hybrid"), (60, "path"), (60, "hard_concrete")]
)
def test_a_net_total_near_zero_is_met_whatever_its_value(n_records, method):
    rng = np.random.default_rng(0)
    weights = rng.uniform(50, 150, 400)
    net = rng.normal(0, 1e4, 400)
    sizes = []
    for value in (0.0, 0.03, 1e3, 1e4, 1e5, 1e6):
        problem = CalibrationProblem.from_matrix([np.ones(400), net], [40_000, value], weights)
        result = problem.solve(n_records, method)
        assert set(result.targets["status"].to_pylist()) == {"met"}
        sizes.append(result.metrics["effective_sample_size"])
    if n_records is None:
        assert min(sizes) > 0.99 * 370  # of linear calibration
    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)


@pytest.mark.parametrize("method", ["hybrid", "path", "hard_concrete"])
def test_a_net_total_of_zero_leaves_the_other_targets_their_records(method):
    given = problems.parts(m=10, seed=1)
    A = given["A"].toarray()
    A[0] = np.where(np.arange(300) % 2, 1.0, -1.0)
    values = A @ given["weights"] * 1.05
    values[0] = 0
    metrics = CalibrationProblem.from_matrix(A, values, given["weights"]).solve(100, method).metrics
    assert metrics["max_error"] < 0.01
    assert metrics["effective_sample_size"] > 15


# Small totals


@pytest.mark.parametrize("method", ["hybrid", "path"])
def test_a_small_total_is_met_whatever_the_budget(method):
    A, weights, _ = areas()
    problem = CalibrationProblem.from_matrix(A[:4], [10, 12e3, 12e3, 12e3], weights)
    for k in (4, 40, 60, 80, 100, 200):
        result = problem.solve(k, method)
        np.testing.assert_allclose(result.targets["estimate"], problem.values, rtol=1e-6)
    front = problem.frontier([40, 100, 200], method).table
    assert max(front["max_error"].to_pylist()) < 1e-6


def test_a_file_with_all_records_is_itself_the_reference():
    A = np.random.default_rng(0).uniform(size=(4, 60))
    problem = CalibrationProblem.from_matrix(
        A[:2], 1.1 * A[:2].sum(axis=1), np.ones(60), untargeted=A[2:]
    )
    result = problem.solve()
    assert result.untargeted is None
    assert result.metrics["untargeted_capped_error"] is None
    # Trimmed and whole weights are not those of the reference.
    assert result.trim(upper=1.05 * result.values.mean()).metrics["untargeted_capped_error"] > 0
    whole = problem.solve(integer_weights=True)
    assert whole.metrics["untargeted_capped_error"] > 0


@pytest.fixture
def nested_problem(monkeypatch):
    return matrices.nested_problem(monkeypatch)


@pytest.mark.parametrize("method", ["path", "hybrid", "pps", "random"])
@pytest.mark.parametrize("keep_total", [False, True])
def test_nested_targets_are_fitted_as_well_as_others(
    method, keep_total, nested_problem, monkeypatch
):
    options = {"epochs": 60, "keep_total": keep_total}
    shared = nested_problem.solve(300, method, **options)
    monkeypatch.setattr(choice, "FEW", 10_000_000)
    alone = nested_problem.solve(300, method, **options)
    assert shared.metrics["n_records"] == alone.metrics["n_records"] == 300
    assert shared.metrics["loss"] <= 1.1 * alone.metrics["loss"] + 1e-3
    if keep_total:
        total = nested_problem.design_weights.sum()
        assert shared.values.sum() == pytest.approx(total, rel=1e-9)


def test_a_run_nests_the_targets_once(nested_problem, monkeypatch):
    found, of = [], Nesting.of

    def counted(*given):
        found.append(of(*given))
        return found[-1]

    monkeypatch.setattr(Nesting, "of", counted)
    nested_problem.solve(300, "hybrid", epochs=60)
    assert len(found) == 1


@pytest.mark.parametrize("method", ["path", "hybrid"])
def test_a_run_that_goes_on_at_the_refit_nests_the_targets_anew(
    method, nested_problem, monkeypatch, tmp_path
):
    undisturbed = nested_problem.solve(300, method, epochs=60)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("l0.calibration.solve.fit_selection", interrupted)
        nested_problem.solve(300, method, epochs=60, checkpoint=tmp_path / "run")
    resumed = nested_problem.solve(300, method, epochs=60, checkpoint=tmp_path / "run", resume=True)
    np.testing.assert_array_equal(resumed.indices, undisturbed.indices)
    assert resumed.values.tobytes() == undisturbed.values.tobytes()
