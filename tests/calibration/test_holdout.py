"""A fit without some targets is the fit of a table that never had them."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import l0
from l0.calibration import CalibrationProblem, CalibrationResult
from l0.calibration.evaluation.metrics import fit_metrics
from l0.calibration.holdout import hold_out
from l0.calibration.problem.losses import score
from l0.common.errors import InputError
from tests.calibration import problems

SURVEY = {"key": "id", "weight": "w"}
KINDS = [
    {"variable": "count", "value": 4_100.0},
    {"variable": "count", "state": "A", "value": 1_500.0},
    {"variable": "income", "statistic": "mean", "state": "A", "value": 31_000.0},
    {"variable": "tax", "statistic": "ratio", "denominator": "income", "value": 0.13},
    {"variable": "income", "statistic": "share", "state": "B", "within": " ", "value": 0.3},
    {"variable": "tax", "state": "C", "at_least": 1e6, "at_most": 9e6},
    {"variable": "count", "state": "B", "value": 1_300.0},
]


@pytest.fixture(scope="module")
def homes():
    rng = np.random.default_rng(0)
    n = 120
    return pd.DataFrame(
        {
            "id": np.arange(n),
            "w": rng.uniform(20, 50, n),
            "state": rng.choice(list("ABC"), n),
            "income": rng.lognormal(10, 0.7, n),
            "tax": rng.lognormal(8, 0.7, n),
        }
    )


def named(problem):
    return sorted(problem.held_out.names)


# Which targets


@pytest.mark.parametrize(
    ("patterns", "rows"),
    [
        ("t003", [3]),
        (["t00*", "t01[0-2]"], [*range(13)]),
        (["group:a", "t001"], [*range(0, 20, 2), 1]),
        (["group:*b*"], [*range(1, 20, 2)]),
        (["T003", "t003"][1:], [3]),
    ],
)
def test_patterns_are_on_names_or_on_groups(patterns, rows):
    problem = CalibrationProblem.from_matrix(**problems.parts(), groups=["a", "b"] * 10)
    held = hold_out(problem, patterns)
    assert named(held) == [f"t{row:03}" for row in sorted(rows)]
    assert sorted([*held.names, *named(held)]) == list(problem.names)


def test_a_name_with_brackets_is_a_pattern_for_itself():
    given = problems.parts(m=3) | {"names": ["x[1]", "x1", "group:x"]}
    problem = CalibrationProblem.from_matrix(**given)
    assert named(hold_out(problem, "x[1]")) == ["x1", "x[1]"]
    assert named(hold_out(problem, ["group:x"])) == ["group:x"]


@pytest.mark.parametrize("patterns", [None, [], ()])
def test_nothing_is_held_out_by_default(patterns):
    problem = problems.problem()
    assert hold_out(problem, patterns) is problem


@pytest.mark.parametrize(
    ("patterns", "text"),
    [
        (["t0*", "t9*"], "`holdout` has the pattern 't9*', which matches the name of no target"),
        (["T003"], "closest: 't003'"),
        (["group:al"], "'group:al', which matches the group of no target; closest: 'group:all'"),
        ("*", "`holdout` ('*') holds out all 20 targets with an importance above 0, and nothing"),
        (["t00*", "t01*"], "holds out all 20 targets"),
        (7, "`holdout` is 7; pass a list of patterns, such as ['snap/*'"),
        ([7], "`holdout` is [7]; pass a list of patterns"),
    ],
)
def test_wrong_patterns_are_named(patterns, text):
    problem = problems.problem()
    with pytest.raises(InputError, match=re.escape(text)):
        problem.solve(50, holdout=patterns)


def test_the_only_target_cannot_be_held_out():
    problem = CalibrationProblem.from_matrix(np.ones((1, 4)), [4], np.ones(4), names=["all"])
    with pytest.raises(InputError, match="holds out the only target with an importance above 0, a"):
        problem.solve(2, holdout=["all"])


def test_it_is_no_use_to_keep_targets_that_do_not_count(survey):
    targets = survey.targets.assign(importance=(survey.targets["variable"] == "count") * 1.0)
    options = {**survey.options(), "targets": targets}
    with pytest.raises(InputError, match="nothing is left to fit"):
        l0.calibrate(**options, holdout=["*count*"])


# The fit


@pytest.mark.parametrize("n_records", [None, 60])
@pytest.mark.parametrize("groups", [None, ["a", "b", "b", "a"] * 5], ids=["alone", "groups"])
def test_a_matrix_gives_the_fit_of_its_other_rows(n_records, groups):
    given = problems.parts()
    rows = [row for row in range(20) if row not in (0, 1, 2, 17)]
    of = None if groups is None else [groups[row] for row in rows]
    held = CalibrationProblem.from_matrix(**given, groups=groups).solve(
        n_records, holdout=["t00[0-2]", "t017"], epochs=40
    )
    fewer = given | {
        "A": given["A"][rows],
        "values": given["values"][rows],
        "names": [given["names"][row] for row in rows],
    }
    alone = CalibrationProblem.from_matrix(**fewer, groups=of).solve(n_records, epochs=40)
    np.testing.assert_array_equal(held.indices, alone.indices)
    np.testing.assert_allclose(held.values, alone.values, rtol=1e-9)
    changed = {"seconds", "n_holdout", "holdout_median_error", "holdout_capped_error"}
    assert held.metrics["fit_status"] == alone.metrics["fit_status"]
    for name, value in alone.metrics.items():
        if isinstance(value, (int, float)) and name not in changed:
            assert held.metrics[name] == pytest.approx(value, rel=1e-6, abs=1e-9)


def test_a_survey_gives_the_fit_of_its_other_targets(survey):
    options = survey.options()
    targets = survey.targets.assign(group=["x", "y", "y", "z", ""] * 6)
    out = ["income by state=01*", "person count by age=65+"]
    held = l0.calibrate(**options | {"targets": targets}, n_records=80, holdout=out, epochs=40)
    status = held.targets["status"] == "held out"
    assert status.sum() == held.metrics["n_holdout"] == 4
    assert held.metrics["n_targets"] == len(targets) - 4
    fewer = targets[~status.to_numpy()]
    alone = l0.calibrate(**options | {"targets": fewer}, n_records=80, epochs=40)
    np.testing.assert_array_equal(held.indices, alone.indices)
    np.testing.assert_allclose(held.values, alone.values, rtol=1e-9)
    assert held.metrics["untargeted_capped_error"] == pytest.approx(
        alone.metrics["untargeted_capped_error"]
    )


@settings(max_examples=8)
@given(st.sets(st.sampled_from(range(len(KINDS))), min_size=1, max_size=4), st.booleans())
def test_kinds_and_even_weights_are_those_of_the_other_targets(homes, out, weighted):
    survey = SURVEY if weighted else {"key": "id"}
    out = out - (set() if weighted else {0})  # some total must say what a record stands for
    table = pd.DataFrame(KINDS).assign(name=[f"k{row}" for row in range(len(KINDS))])
    kept = [row for row in range(len(KINDS)) if row not in out]
    held = hold_out(
        CalibrationProblem.from_frames(homes, table, **survey), [f"k{row}" for row in out]
    )
    alone = CalibrationProblem.from_frames(homes, table.iloc[kept], **survey)
    for name in ("values", "scales", "own_scales", "design_weights", "importance", "low", "high"):
        np.testing.assert_allclose(getattr(held, name), getattr(alone, name), err_msg=name)
    assert (held.kinds is None) == (alone.kinds is None)
    assert list(held.names) == list(alone.names)
    assert (held.matrix != alone.matrix).nnz == 0


# What is reported


def test_held_out_targets_are_reported_and_counted_on_their_own(homes):
    table = pd.DataFrame(KINDS).assign(name=[f"k{row}" for row in range(len(KINDS))])
    result = l0.calibrate(homes, table, **SURVEY, holdout=["k2", "k5", "k6"])
    targets = result.targets
    assert list(targets["name"]) == list(table["name"])
    out = (targets["status"] == "held out").to_numpy()
    assert list(np.flatnonzero(out)) == [2, 5, 6]
    assert list(targets["statistic"]) == list(table["statistic"].fillna("total"))
    assert not targets["shadow_price"][out].any() and not targets["at_limit"][out].any()
    chosen = result.select(homes)
    inside = chosen[chosen.state == "A"]
    mean = (inside.income * inside.w).sum() / inside.w.sum()
    assert targets["estimate"][2] == pytest.approx(mean)
    assert targets["relative_error"][2] == pytest.approx(mean / 31_000 - 1)
    fitted, metrics = targets[~out], result.metrics
    expected = fit_metrics(fitted["relative_error"].to_numpy(), fitted["importance"].to_numpy())
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)
    error, share = (targets[name][out].to_numpy() for name in ("relative_error", "importance"))
    assert share.sum() == pytest.approx(1) and fitted["importance"].sum() == pytest.approx(1)
    assert metrics["holdout_capped_error"] == pytest.approx(score(error, share))
    assert metrics["holdout_median_error"] == pytest.approx(np.median(np.abs(error)))


@pytest.fixture(scope="module")
def result():
    return problems.problem().solve(60, holdout=["t00*"], epochs=40, replicates=10)


def test_print_and_report_tell_what_was_held_out(result, tmp_path):
    text = " ".join(result.summary().split())
    assert "10 targets were held out of the fit (`holdout`): 't000', 't001'" in text
    assert "Mean error on held-out targets" in text
    assert repr(result).startswith("<CalibrationResult: 60 of 300 records, 10 targets (10 held out")
    result.to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "further targets were <b>held out</b> of the fit" in page
    assert "held out" not in str(problems.problem().solve(60, epochs=40))


def test_a_saved_result_keeps_them(result, tmp_path):
    result.save(tmp_path / "out")
    again = CalibrationResult.load(tmp_path / "out")
    assert again.metrics == result.metrics and str(again) == str(result)
    assert again.run["arguments"]["holdout"] == ["t00*"]
    assert "    holdout=['t00*'],\n" in again.run["call"]


def test_their_standard_errors_are_those_of_their_own_estimates(result):
    error = result.targets.column("standard_error").to_numpy()
    given = problems.parts()
    under = (
        given["A"][:, result.indices]
        @ result.replicate_weights.select(result.replicate_weights.column_names[1:])
        .to_pandas()
        .to_numpy()
    )
    main = (given["A"][:, result.indices] @ result.values)[:, None]
    variance = (under - main) ** 2 @ np.array(result.rscales)
    np.testing.assert_allclose(error, np.sqrt(variance), rtol=1e-6, atol=1e-9)


def test_trimmed_weights_are_compared_with_them_again(result):
    trimmed = result.trim(upper=result.values.max() / 1.5)
    given = problems.parts()
    estimate = given["A"][:, trimmed.indices] @ trimmed.values
    error = np.abs(estimate[:10] / given["values"][:10] - 1)
    assert trimmed.metrics["holdout_capped_error"] == pytest.approx(error.mean())


def test_a_frontier_has_their_error_too():
    problem = problems.problem()
    front = problem.frontier([50, 80], "pps", holdout=["t00*"])
    for row in front.table.to_pylist():
        alone = problem.solve(row["n_records"], "pps", holdout=["t00*"]).metrics
        assert row["holdout_capped_error"] == pytest.approx(alone["holdout_capped_error"])
    assert "held-out" in " ".join(str(front).split())


def test_a_target_without_records_says_so(homes):
    rows = [
        {"variable": "count", "value": 4_000.0},
        {"variable": "tax", "state": "A", "value": 9.0},
    ]
    none = homes.assign(tax=0.0)
    targets = l0.calibrate(none, pd.DataFrame(rows), **SURVEY, holdout=["tax*"]).targets
    assert list(targets["status"]) == ["met", "held out"]
    assert list(targets["reason"]) == ["", "no record behind it"]
