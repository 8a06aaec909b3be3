import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import l0
from l0.calibration import CalibrationProblem, CalibrationResult, compare
from l0.common.errors import InputError
from tests.calibration import problems
from tests.calibration.results.report.browser import words


@pytest.fixture(scope="module")
def problem():
    statistics = np.random.default_rng(1).uniform(size=(6, 300))
    return CalibrationProblem.from_matrix(**problems.contradicting_parts(), untargeted=statistics)


@pytest.fixture(scope="module")
def both(problem):
    return problem.solve(60, "random"), problem.solve(80, "pps", holdout="t00[0-2]")


@pytest.fixture(scope="module")
def comparison(both):
    return compare(*both)


def test_a_result_is_alike_to_itself(both):
    found = compare(both[0], both[0])
    m = found.metrics
    assert (m["targets_won"], m["targets_lost"], m["targets_alike"]) == (0, 0, m["n_targets"])
    assert m["targets_error_a"] == m["targets_error_b"]
    assert (m["n_records"], m["n_records_only_a"], m["n_records_only_b"]) == (60, 0, 0)
    assert m["weight_share_a"] == m["weight_share_b"] == pytest.approx(1)
    assert m["median_weight_ratio"] == 1
    assert found.notes == []


def test_the_numbers_are_those_of_both_results(both, comparison):
    a, b = (each.targets.to_pandas() for each in both)
    m = comparison.metrics
    ahead = a["relative_error"].abs() - b["relative_error"].abs()
    assert m["targets_won"] == (ahead > 1e-3).sum() > 0
    assert m["targets_lost"] == (ahead < -1e-3).sum() > 0
    assert m["targets_won"] + m["targets_lost"] + m["targets_alike"] == len(a)
    assert m["targets_error_b"] == pytest.approx(b["relative_error"].abs().clip(upper=1).mean())
    assert m["untargeted_error_a"] == pytest.approx(both[0].metrics["untargeted_capped_error"])
    assert m["untargeted_won"] + m["untargeted_lost"] + m["untargeted_alike"] == 6
    weights = [dict(each.weights.to_pandas().to_numpy()) for each in both]
    common = set(weights[0]) & set(weights[1])
    assert m["n_records"] == len(common) > 0
    assert (m["n_records_only_a"], m["n_records_only_b"]) == (60 - len(common), 80 - len(common))
    for side, of in zip("ab", weights, strict=True):
        share = sum(of[key] for key in common) / sum(of.values())
        assert m[f"weight_share_{side}"] == pytest.approx(share)
    ratio = np.median([weights[1][key] / weights[0][key] for key in common])
    assert m["median_weight_ratio"] == pytest.approx(ratio)
    assert m["a"] == both[0].metrics and m["b"] == both[1].metrics


def test_the_other_way_round_what_was_won_is_lost(both, comparison):
    other = compare(both[1], both[0]).metrics
    for name in ("targets", "untargeted"):
        assert other[f"{name}_won"] == comparison.metrics[f"{name}_lost"]
        assert other[f"{name}_error_a"] == comparison.metrics[f"{name}_error_b"]
    assert other["n_records_only_a"] == comparison.metrics["n_records_only_b"]


def test_saved_results_give_the_same(both, comparison, tmp_path):
    for result, name in zip(both, "ab", strict=True):
        result.save(tmp_path / name)
    found = compare(tmp_path / "a", str(tmp_path / "b"))
    assert found.metrics == comparison.metrics
    named = f"A is the result in {tmp_path / 'a'}, and B is the result in {tmp_path / 'b'}."
    text = " ".join(str(found).split())
    assert named in text and text.replace(f"{named} ", "") == " ".join(str(comparison).split())
    found.to_html(tmp_path / "page.html")
    assert named in words((tmp_path / "page.html").read_text())
    assert found.targets.equals(comparison.targets)
    assert json.loads(json.dumps(found.metrics, allow_nan=False)) == found.metrics


def test_print_summary_and_notebook_tell_it(both, comparison):
    text, m = str(comparison), comparison.metrics
    prose = " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    assert f"B is nearer to {m['targets_won']:,} and A to {m['targets_lost']:,}" in prose
    assert f"{m['n_records']:,} records are in both" in prose
    assert "Common targets that the fit of B held out: 3 ('t000', 't001', 't002')" in prose
    assert "Mean error on held-out targets not known" in prose
    assert "Lost by most" in comparison.summary() and "Won by most" in comparison.summary()
    html = comparison._repr_html_()
    assert "<th>A</th><th>B</th>" in html and "B is nearer to" in html
    assert repr(comparison).startswith(f"<Comparison: {m['n_targets']} common targets, ")


def test_results_of_other_targets_and_records_are_compared_on_what_they_share(survey):
    options = survey.options()
    a = l0.calibrate(**options, n_records=100, method="random")
    fewer = survey.targets.drop(index=[0, 3])
    fewer.loc[5, "value"] *= 2
    more = pd.DataFrame([{"entity": "", "variable": "count", "value": 4e4, "year": 2022.0}])
    households = survey.households.query("household > 1100").assign(
        weight=lambda frame: frame["weight"].where(frame["household"] > 1200, 60.0)
    )
    persons = survey.persons[survey.persons["household"] > 1100]
    b = l0.calibrate(
        households, pd.concat([fewer, more]), n_records=90, method="random", key="household",
        weight="weight", members={"person": persons}, check_scale=False,
    )  # fmt: skip
    found = compare(a, b)
    m = found.metrics
    assert isinstance(found.targets, pd.DataFrame) and isinstance(found.records, pd.DataFrame)
    assert (m["n_targets_only_a"], m["n_targets_only_b"], m["n_targets_changed"]) == (2, 1, 1)
    assert m["n_targets"] == len(survey.targets) - 3
    notes = " ".join(found.notes)
    assert "Targets of A alone, which do not count here: 2 (" in notes
    assert "Targets of B alone, which do not count here: 1 ('count by year=2022')" in notes
    assert "Targets that state another value in B" in notes
    shared = found.records.dropna()
    moved = (shared["design_weight_a"] != shared["design_weight_b"]).sum()
    assert moved > 0 and f"{moved} record" in notes
    assert found.records["household"].is_unique


def test_what_cannot_be_compared_is_an_error_with_the_remedy(both, problem):
    a = both[0]
    other = problems.problem(seed=3).solve(50, "random")
    with pytest.raises(InputError, match="no target in common"):
        compare(a, other)
    plain = {**problems.contradicting_parts()}
    keys = plain.pop("keys")
    unnamed = CalibrationProblem.from_matrix(**plain).solve(50, "random")
    with pytest.raises(InputError, match="calibrate both with the same `key`"):
        compare(a, unnamed)
    rows = [*range(200)]
    part = {**plain, "A": plain["A"][:, rows], "weights": plain["weights"][rows]}
    smaller = CalibrationProblem.from_matrix(**part).solve(50, "random")
    with pytest.raises(InputError, match="know their records by row number"):
        compare(unnamed, smaller)
    with pytest.raises(InputError, match="`b` is DataFrame; pass a result, or the folder"):
        compare(a, pd.DataFrame({"key": keys}))
    with pytest.raises(InputError, match="has no saved result"):
        compare("nowhere", a)


def test_records_without_a_common_one_are_no_error(both):
    a = both[0]
    table = a.tables["weights"]
    keys = table.column(0).to_numpy() + 10_000
    b = replace(a, tables={**a.tables, "weights": table.set_column(0, "key", [keys])})
    found = compare(a, b)
    assert found.metrics["n_records"] == 0 and found.metrics["median_weight_ratio"] is None
    assert "0 records are in both, 60 in A alone and 60 in B alone." in str(found).replace(
        "\n", " "
    )


def test_a_full_file_has_no_untargeted_statistics_to_compare(both, problem):
    found = compare(problem.solve(), both[1])
    assert found.untargeted is None and found.metrics["untargeted_error_a"] is None
    assert any("Untargeted statistics are not compared" in note for note in found.notes)
    assert "all records" in str(found)


def test_the_kind_is_that_of_a(both, tmp_path):
    both[0].save(tmp_path / "a")
    a = CalibrationResult.load(tmp_path / "a", kind="polars")
    assert type(compare(a, both[1]).records).__module__.startswith("polars")
