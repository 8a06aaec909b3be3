import pickle

import numpy as np
import pandas as pd
import pytest

import l0
from l0.calibration import (
    CalibrationProblem,
    CalibrationResult,
    Hybrid,
    Jackknife,
    SurveyReplicates,
)
from l0.calibration.replicate import HELD, MISSED_DRAW, NO_DRAW, ROUNDED
from l0.common.errors import InputError
from tests.calibration import problems


def columns(result):
    """Take the replicate weights of a result, shape (k, C)."""
    table = result.tables["replicates"]
    return np.column_stack([column.to_numpy() for column in table.columns[1:]])


def variance(result, of):
    """Compute the variance of a function of weights."""
    deviations = [of(weights) - of(result.values) for weights in columns(result).T]
    return float(np.array(result.run["replicates"]["rscales"]) @ np.square(deviations))


def reachable(n=300, m=4, seed=0):
    """Make a problem whose targets can all be met by few records."""
    rng = np.random.default_rng(seed)
    A = rng.uniform(0.5, 1.5, (m, n))
    return CalibrationProblem.from_matrix(A, 1.05 * A.sum(axis=1), np.ones(n)), A


def with_replicates(survey, n_columns=6, seed=0):
    """Add replicate weights, some of them 0, to a small survey."""
    rng = np.random.default_rng(seed)
    weight = survey.households["weight"].to_numpy()
    extra = {
        f"rep{place}": weight * rng.choice([0.0, 2.0], len(weight)) for place in range(n_columns)
    }
    return {
        **survey.options(),
        "records": pd.concat([survey.households, pd.DataFrame(extra)], axis=1),
    }, list(extra)


@pytest.mark.parametrize("method", ["hybrid", "path", "hard_concrete", "random", "pps", "cube"])
def test_all_columns_meet_the_targets_and_weights_do_not_change(method):
    problem, A = reachable()
    plain = problem.solve(60, method=method, epochs=80)
    result = problem.solve(60, method=method, epochs=80, replicates=10)
    np.testing.assert_array_equal(plain.values, result.values)
    found = columns(result)
    # Only hybrid has records that were drawn and others that were not.
    assert found.shape == (60, 11 if method == "hybrid" else 10)
    estimates = A[:, result.indices] @ found
    np.testing.assert_allclose(
        estimates, np.tile(problem.values[:, None], found.shape[1]), rtol=1e-5
    )
    assert ((found[:, :10] == 0).sum(axis=0) == 6).all()
    assert (found >= 0).all()
    described = result.run["replicates"]
    assert described["method"] == "Jackknife(10)"
    assert len(described["rscales"]) == found.shape[1]
    np.testing.assert_allclose(described["rscales"][:10], 0.9)
    assert described["gap"] < 1e-3
    assert (NO_DRAW in result.run["notes"]) == (method in ("path", "hard_concrete"))


def test_the_rows_are_those_of_the_weights():
    given = problems.parts()
    order = np.random.default_rng(1).permutation(300)
    shuffled = {**given, "A": given["A"][:, order], "weights": given["weights"][order]}
    shuffled["keys"] = given["keys"][order]
    first, second = (
        CalibrationProblem.from_matrix(**parts).solve(50, replicates=5, epochs=50)
        for parts in (given, shuffled)
    )
    for result in (first, second):
        keys = [result.tables[name].column("key") for name in ("weights", "replicates")]
        assert keys[0] == keys[1]
    by_key = [
        result.tables["replicates"].sort_by("key").to_pandas().to_numpy()
        for result in (first, second)
    ]
    np.testing.assert_allclose(*by_key)


def test_the_last_column_halves_the_base_of_records_that_targets_chose():
    problem, _ = reachable(n=400, m=6)
    result = problem.solve(60, method=Hybrid(share=0.5), replicates=8)
    described = result.run["replicates"]
    assert described["rscales"][-1] == 4.0
    assert (columns(result)[:, -1] > 0).all()


def test_draws_have_the_variance_of_a_mean():
    # The only target is the total, so that a mean is estimated by the plain mean of the sample.
    rng = np.random.default_rng(5)
    values = rng.normal(10, 3, 2_000)
    problem = CalibrationProblem.from_matrix(np.ones((1, 2_000)), [2_000], np.ones(2_000))
    result = problem.solve(100, method="random", replicates=100)

    def mean(weights):
        return weights @ values[result.indices] / weights.sum()

    sample = values[result.indices]
    assert variance(result, mean) == pytest.approx(sample.var(ddof=1) / 100, rel=1e-6)
    # No more groups than records, and with more it is the same.
    more = problem.solve(100, method="random", replicates=130)
    assert variance(more, mean) == pytest.approx(sample.var(ddof=1) / 100, rel=0.02)


def test_all_records_have_replicate_weights_too():
    problem, A = reachable()
    result = problem.solve(replicates=12)
    assert columns(result).shape == (300, 12)
    np.testing.assert_allclose(A @ columns(result), np.tile(problem.values[:, None], 12), rtol=1e-6)


def test_selection_error_only_spares_records_that_are_nearly_certain():
    problem, _ = reachable()
    everyone = columns(problem.solve(250, method="pps", replicates=Jackknife(10)))
    settings = Jackknife(10, selection_error_only=True)
    spared = columns(problem.solve(250, method="pps", replicates=settings))
    assert (everyone == 0).any(axis=1).all()
    assert not (spared == 0).any()  # each has a weight of 250 / 300 of its final one
    some = columns(problem.solve(100, method="pps", replicates=settings))
    assert (some == 0).any()
    with pytest.raises(InputError, match="all records are kept, and there is no error"):
        problem.solve(replicates=settings)


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "relative"},
        {"distance": "linear"},
        {"distance": "logit", "bounds": (0.1, 30)},
        {"keep_total": True},
        {"exact": True},
        {"bounds": (0.5, 20)},
    ],
    ids=str,
)
def test_columns_are_fitted_with_the_options_of_the_weights(options):
    problem, A = reachable(m=2)
    result = problem.solve(60, replicates=10, epochs=50, **options)
    found = columns(result)
    expected = np.tile(problem.values[:, None], found.shape[1])
    np.testing.assert_allclose(A[:, result.indices] @ found, expected, rtol=1e-4)
    if options.get("keep_total"):
        np.testing.assert_allclose(found.sum(axis=0), 300, rtol=1e-9)


def test_whole_weights_carry_their_rounding():
    problem, _ = reachable()
    plain = problem.solve(60, replicates=6, epochs=50)
    whole = problem.solve(60, replicates=6, epochs=50, integer_weights=True)
    expected = columns(plain) * (whole.values / plain.values)[:, None]
    np.testing.assert_allclose(columns(whole), expected, rtol=1e-9)
    assert ROUNDED in whole.run["notes"]


def test_clusters_are_left_out_whole_and_strata_one_by_one(survey):
    options = survey.options()
    options["records"]["psu"] = np.arange(400) // 5
    result = l0.calibrate(
        **options, n_records=200, epochs=50,
        replicates=Jackknife(8, clusters="psu", strata="state"),
    )  # fmt: skip
    of = options["records"].iloc[result.indices]
    found = columns(result)[:, :8] == 0
    for _, inside in of.reset_index(drop=True).groupby(["state", "psu"]).groups.items():
        assert (found[inside] == found[inside[0]]).all()


def test_a_stratum_of_one_cluster_is_named(survey):
    options = survey.options()
    options["records"]["psu"] = options["records"]["state"]
    with pytest.raises(InputError, match="`strata`: 4 strata have only one cluster.*'01', '02'"):
        l0.calibrate(**options, replicates=Jackknife(8, clusters="psu", strata="state"))
    with pytest.raises(InputError, match="only one cluster among the records of the file"):
        options["records"]["psu"] = "a"
        l0.calibrate(**options, replicates=Jackknife(8, clusters="psu"))


def test_labels_of_a_matrix_are_an_array():
    problem, _ = reachable()
    clusters = np.repeat(np.arange(60), 5)
    found = columns(problem.solve(replicates=Jackknife(6, clusters=clusters))) == 0
    assert (found.reshape(60, 5, 6) == found.reshape(60, 5, 6)[:, :1]).all()
    with pytest.raises(InputError, match="`clusters` has 3 entries for 300 columns of `A`"):
        problem.solve(replicates=Jackknife(6, clusters=["a", "b", "c"]))


def test_the_replicate_weights_of_the_survey_are_calibrated_on_the_chosen_records(survey):
    options, names = with_replicates(survey)
    settings = SurveyReplicates(names, "BRR", groups=10)
    result = l0.calibrate(**options, n_records=200, epochs=50, replicates=settings)
    found, described = columns(result), result.run["replicates"]
    assert found.shape[1] in (16, 17)
    assert described["method"] == "SurveyReplicates(BRR, 6 columns)"
    np.testing.assert_allclose(described["rscales"][:6], 1 / 6)
    np.testing.assert_allclose(described["rscales"][6:16], 0.5)
    given = options["records"].iloc[result.indices][names].to_numpy()
    np.testing.assert_array_equal(found[:, :6] == 0, given == 0)
    everyone = l0.calibrate(**options, replicates=settings)
    assert columns(everyone).shape == (400, 6)


def test_wrong_replicate_columns_are_named(survey):
    options, names = with_replicates(survey)

    def calibrate(*columns_):
        settings = SurveyReplicates(columns_, "BRR")
        return l0.calibrate(**options, n_records=100, epochs=20, replicates=settings)

    with pytest.raises(InputError, match="`columns` names the column 'rep9', which `records` do"):
        calibrate("rep0", "rep9")
    with pytest.raises(InputError, match="`columns` names the column 'state', which is"):
        calibrate("rep0", "state")
    options["records"].loc[3, "rep1"] = -1.0
    with pytest.raises(InputError, match="'rep1', which is missing or negative in 1 record"):
        calibrate("rep0", "rep1")
    options["records"]["rep2"] = 0.0
    with pytest.raises(InputError, match="`columns`: 'rep2' is 0 for all records of the file"):
        calibrate("rep0", "rep2")
    problem, _ = reachable()
    with pytest.raises(InputError, match="a problem from a matrix has none"):
        problem.solve(replicates=SurveyReplicates(names, "BRR"))


def test_later_replicates_are_those_made_at_once(tmp_path):
    problem, _ = reachable()
    once = problem.solve(60, replicates=8, epochs=50)
    kept = problem.solve(60, keep_problem=True, epochs=50)
    later = kept.replicate(8)
    assert once.tables["replicates"].equals(later.tables["replicates"])
    assert once.run["call"] == later.run["call"]
    assert "    replicates=8," in later.run["call"]
    assert later.run["arguments"]["replicates"] == 8
    again = later.replicate(Jackknife(5, selection_error_only=True))
    line = "    replicates=l0.calibration.Jackknife(n=5, selection_error_only=True),"
    assert line in again.run["call"]
    assert again.run["notes"] == later.run["notes"]
    kept.save(tmp_path / "result")
    for without in (
        once, pickle.loads(pickle.dumps(kept)), CalibrationResult.load(tmp_path / "result"),
    ):  # fmt: skip
        with pytest.raises(InputError, match="`replicate` needs the problem.*calibrate again"):
            without.replicate(8)
    with pytest.raises(InputError, match="`replicates` is None"):
        kept.replicate(None)


def test_trimmed_weights_have_no_replicates():
    problem, _ = reachable()
    trimmed = problem.solve(60, replicates=8, epochs=50, keep_problem=True).trim(upper=7)
    assert "replicates" not in trimmed.tables
    assert "replicates" not in trimmed.run
    assert "left out, because they belong to the weights before" in trimmed.run["notes"][-1]
    with pytest.raises(InputError, match="these were trimmed"):
        trimmed.replicate(8)


def test_a_frontier_has_no_replicates():
    problem, _ = reachable()
    with pytest.raises(InputError, match="`replicates`: a frontier has no weights"):
        problem.frontier([20], replicates=8)


def test_a_draw_that_misses_its_targets_has_a_note():
    problem = problems.contradicting()
    result = problem.solve(40, method="pps", replicates=8)
    assert result.metrics["loss"] > 0.05
    assert MISSED_DRAW.split("{}")[1] in " ".join(result.run["notes"])


def people(n=400, seed=0):
    """Make a survey with one target, so that most totals of the full file are estimates."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"w": rng.uniform(50, 150, n), "sex": rng.choice(["f", "m"], n)})
    table["age"] = rng.integers(18, 90, n).astype(float)
    targets = pd.DataFrame({"variable": ["count"], "value": [102.5 * n]})
    return table, targets


def errors_of_totals(result, table):
    """Compute the standard errors of the totals of `people` that no target determines."""
    asked = ({"by": "sex"}, {"of": "age"}, {"of": "age", "by": "sex"})
    return np.concatenate([result.estimate(table, **each)["standard_error"] for each in asked])


@pytest.mark.parametrize("method", ["jackknife", "clusters", "Fay"])
def test_soft_targets_have_the_standard_errors_of_the_full_file(method):
    table, targets = people()
    settings = Jackknife(400)
    if method == "clusters":
        table["area"] = np.arange(len(table)) // 4
        settings = Jackknife(100, clusters="area")
    if method == "Fay":
        signs = np.random.default_rng(0).choice([-1, 1], (200, len(table)))
        halves = {f"half{place}": table["w"] * (1 + 0.9 * sign) for place, sign in enumerate(signs)}
        table = pd.concat([table, pd.DataFrame(halves)], axis=1)
        settings = SurveyReplicates(list(halves), "Fay", rho=0.1)
    problem = CalibrationProblem.from_frames(table, targets, weight="w")
    result = problem.solve(80, replicates=settings, epochs=20)
    assert result.untargeted["trained"].sum() == 5
    found, known = (
        errors_of_totals(each, table) for each in (result, problem.solve(replicates=settings))
    )
    np.testing.assert_allclose(found, known, rtol=0.02)
    assert not any(HELD.split("{}")[0] in note for note in result.run["notes"])


def test_soft_targets_have_no_error_of_the_selection():
    table, targets = people()
    problem = CalibrationProblem.from_frames(table, targets, weight="w")
    result = problem.solve(80, replicates=Jackknife(8, selection_error_only=True), epochs=20)
    assert (errors_of_totals(result, table) < 1).all()


def test_full_files_that_are_too_large_to_repeat_have_a_note(monkeypatch):
    table, targets = people()
    problem = CalibrationProblem.from_frames(table, targets, weight="w")
    monkeypatch.setattr("l0.calibration.replicate_totals.normal_matrix", lambda _: None)
    result = problem.solve(80, replicates=8, epochs=20)
    assert HELD.format("5 totals") in result.run["notes"]
    assert (errors_of_totals(result, table) < 1).all()


def test_a_target_without_a_record_in_a_column_is_told():
    rng = np.random.default_rng(0)
    A = rng.uniform(0.5, 1.5, (2, 100))
    A[1, 1:] = 0
    problem = CalibrationProblem.from_matrix(A, A.sum(axis=1), np.ones(100), names=["all", "one"])
    result = problem.solve(replicates=10)
    assert result.run["replicates"]["n_columns_without_records"] == 1
    note = "In 1 of 10 columns of replicate weights, targets have no record left: 'one'"
    assert note in result.run["notes"]
    np.testing.assert_allclose(A[0] @ columns(result), A[0].sum(), rtol=1e-4)


def test_replicate_weights_are_no_amounts_of_the_survey(survey):
    options, names = with_replicates(survey)
    plain = l0.calibrate(**survey.options(), n_records=60, epochs=20)
    settings = SurveyReplicates(names, "bootstrap")
    result = l0.calibrate(**options, n_records=60, epochs=20, replicates=settings)
    np.testing.assert_array_equal(result.values, plain.values)
    assert result.tables["untargeted"].num_rows == plain.tables["untargeted"].num_rows
    assert "tell how the survey was drawn" not in str(result)
    later = l0.calibrate(**options, n_records=60, epochs=20, keep_problem=True).replicate(settings)
    assert "tell how the survey was drawn" in str(later).replace("\n", " ")


@pytest.mark.parametrize("n_records", [None, 60])
def test_systems_that_are_too_large_are_refused_before_the_fit(n_records, monkeypatch):
    problem, _ = reachable()

    def fail(*_, **__):
        raise AssertionError("the fit has started")

    for name in ("calibrate_full_file", "refit"):
        monkeypatch.setattr(f"l0.calibration.solve.{name}", fail)
    monkeypatch.setattr("l0.calibration.fitting.choice.MOST_PRODUCTS", 0)
    monkeypatch.setattr("l0.calibration.fitting.choice.MOST_OF_FULL", 0)
    monkeypatch.setattr("l0.calibration.fitting.choice.QUICK", 0)
    monkeypatch.setattr("l0.calibration.fitting.choice.MOST", 1.0)
    monkeypatch.setattr("l0.calibration.fitting.choice.MOST_PER_ENTRY", 0)
    with pytest.raises(InputError, match="`replicates`: .* too large .* pass `replicates=None`"):
        problem.solve(n_records, replicates=10)


def test_chosen_records_whose_systems_are_too_large_are_refused_before_their_fit(monkeypatch):
    problem, _ = reachable()

    def fail(*_, **__):
        raise AssertionError("the fit has started")

    monkeypatch.setattr("l0.calibration.solve.refit", fail)
    # The check before the selection sees half as many records.
    monkeypatch.setattr("l0.calibration.checks.too_expensive", lambda matrix: matrix.shape[1] == 60)
    with pytest.raises(InputError, match="`replicates`: .* too large"):
        problem.solve(60, replicates=10)


def test_with_nearly_as_many_targets_as_records_columns_are_drawn_to_the_weights(monkeypatch):
    problem, A = reachable(n=400, m=60)
    few = problem.solve(300, method="random", distance="linear", replicates=10)
    assert few.run["replicates"]["mean_leverage"] == pytest.approx(60 / 300, abs=0.05)
    assert (columns(few) == 0).any(axis=1).all()
    problem, A = reachable(n=110, m=60)  # nearly all records, so that these meet the targets too
    many = problem.solve(100, method="random", distance="linear", replicates=10)
    leverage = many.run["replicates"]["mean_leverage"]
    assert leverage == pytest.approx(60 / 100, abs=0.05)
    monkeypatch.setattr("l0.calibration.variance.jackknife.MARGIN", np.inf)
    whole = problem.solve(100, method="random", distance="linear", replicates=10)
    main = whole.values[:, None]
    expected = main + np.sqrt(2 * (1 - leverage)) * (columns(whole) - main)
    np.testing.assert_allclose(columns(many), expected)
    estimates = A[:, many.indices] @ columns(many)
    np.testing.assert_allclose(estimates, np.tile(problem.values[:, None], 10), rtol=1e-4)
