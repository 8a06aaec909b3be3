"""Means, ratios, shares and limits as targets, from the tables to the result."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import l0
from l0.calibration import CalibrationProblem, Solver
from l0.calibration.fitting.selected import Selection
from l0.common.errors import InputError

N = 400
SURVEY = {"key": "id", "weight": "w"}


@pytest.fixture(scope="module")
def homes():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": np.arange(N),
            "w": rng.uniform(20, 80, N),
            "state": rng.choice(list("ABC"), N),
            "income": rng.lognormal(10, 0.7, N),
            "tax": rng.lognormal(8, 0.7, N),
        }
    )


@pytest.fixture(scope="module")
def persons():
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "id": rng.integers(0, N, 2 * N),
            "age": rng.choice(["young", "old"], 2 * N),
            "wage": rng.lognormal(3, 1, 2 * N),
        }
    )


def stated(**changes):
    """Give a table with one target of each kind, a tenth away from the design weights' own."""
    rows = [
        {"variable": "count", "value": 21_000.0},
        {"variable": "income", "statistic": "mean", "state": "A", "value": 31_000.0},
        {"variable": "tax", "statistic": "ratio", "denominator": "income", "value": 0.13},
        {"entity": "person", "variable": "count", "statistic": "share", "state": "B",
         "age": "old", "within": "state", "value": 0.45},
        {"entity": "person", "variable": "wage", "statistic": "mean", "age": "old", "value": 36.0},
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**changes)


def by_pandas(result, homes, persons):
    """Compute the statistics of `stated` from the chosen records."""
    home = result.select(homes)
    person = result.select(persons).merge(home[["id", "state"]], on="id")
    in_a, old = home[home.state == "A"], person[person.age == "old"]
    in_b = person[person.state == "B"]
    return [
        home.w.sum(),
        np.average(in_a.income, weights=in_a.w),
        (home.w * home.tax).sum() / (home.w * home.income).sum(),
        in_b.w[in_b.age == "old"].sum() / in_b.w.sum(),
        np.average(old.wage, weights=old.w),
    ]


@pytest.mark.parametrize("n_records", [None, 80])
@pytest.mark.parametrize("distance", ["raking", "linear"])
def test_what_can_be_met_is_met_exactly_in_its_own_terms(homes, persons, n_records, distance):
    result = l0.calibrate(homes, stated(), n_records=n_records, members={"person": persons},
                          distance=distance, epochs=80, **SURVEY)  # fmt: skip
    assert result.metrics["fit_status"] == "exact"
    table = result.targets
    np.testing.assert_allclose(table["estimate"], stated()["value"], rtol=1e-8)
    np.testing.assert_allclose(table["estimate"], by_pandas(result, homes, persons), rtol=1e-12)
    assert set(table["status"]) == {"met"}
    assert table["statistic"].tolist() == ["total", "mean", "ratio", "share", "mean"]
    assert table["name"].tolist() == [
        "count",
        "mean income by state=A",
        "ratio of tax to income",
        "person share of count by state=B, age=old within state",
        "person mean wage by age=old",
    ]


def test_errors_are_in_the_terms_of_the_statistic(homes, persons):
    result = l0.calibrate(homes, stated(), n_records=60, members={"person": persons},
                          method="random", bounds=(6, 7.2), **SURVEY)  # fmt: skip
    table, own = result.targets, np.array(by_pandas(result, homes, persons))
    assert (table["error"].abs() > 1e-6).any()
    np.testing.assert_allclose(table["estimate"], own, rtol=1e-12)
    np.testing.assert_allclose(table["error"], own - stated()["value"], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(table["relative_error"], own / stated()["value"] - 1, atol=1e-12)
    mean = np.average(homes.income[homes.state == "A"], weights=homes.w[homes.state == "A"])
    assert table["design_estimate"][1] == pytest.approx(mean)
    size = table["relative_error"].abs()
    assert result.metrics["loss"] == pytest.approx(size.clip(upper=1).mean())
    assert result.metrics["max_error"] == pytest.approx(size.max())


@given(order=st.randoms(use_true_random=False))
@settings(max_examples=5, deadline=None)
def test_the_order_of_the_rows_does_not_matter(order):
    rng = np.random.default_rng(2)
    homes = pd.DataFrame({"id": range(60), "w": rng.uniform(1, 9, 60),
                          "income": rng.lognormal(1, 1, 60), "state": list("AB") * 30})  # fmt: skip
    targets = pd.DataFrame(
        [
            {"variable": "income", "statistic": "mean", "state": "A", "value": 4.0},
            {"variable": "count", "statistic": "share", "state": "B", "value": 0.4},
            {"variable": "income", "at_least": 1_500.0, "statistic": ""},
            {"variable": "income", "statistic": "mean", "state": "B", "at_least": 3, "at_most": 4},
        ]
    )
    rows = order.sample(range(60), 60), order.sample(range(4), 4)
    one = l0.calibrate(homes, targets, **SURVEY)
    other = l0.calibrate(homes.iloc[rows[0]], targets.iloc[rows[1]], **SURVEY)
    assert one.run["problem_sha256"] == other.run["problem_sha256"]
    weights = [
        dict(zip(of.weights["id"], of.weights["weight"], strict=True)) for of in (one, other)
    ]
    assert weights[0] == weights[1]


def test_units_do_not_matter(homes):
    def targets(unit):
        return pd.DataFrame(
            [
                {"variable": "income", "statistic": "mean", "state": "A", "value": 25_000 * unit},
                {"variable": "income", "statistic": "mean", "state": "B", "at_most": 24_000 * unit},
                {"variable": "income", "statistic": "ratio", "denominator": "tax",
                 "value": 6 * unit},
                {"variable": "income", "statistic": "share", "state": "C", "value": 0.5},
            ]
        )  # fmt: skip

    exact = {**SURVEY, "solver": Solver(gap=1e-9)}
    one = l0.calibrate(homes, targets(1), **exact)
    other = l0.calibrate(homes.assign(income=homes.income * 1000), targets(1000), **exact)
    np.testing.assert_allclose(other.values, one.values, rtol=1e-8)
    np.testing.assert_allclose(
        other.targets["relative_error"], one.targets["relative_error"], atol=1e-9
    )


# Limits


def test_a_limit_that_holds_anyway_changes_no_weight(homes):
    targets = pd.DataFrame(
        [
            {"variable": "count", "value": 21_000.0},
            {"variable": "income", "statistic": "mean", "state": "A", "value": 28_000.0},
        ]
    )
    limits = pd.DataFrame(
        [
            {"variable": "tax", "at_least": 1e6},
            {"variable": "income", "statistic": "mean", "state": "B", "at_most": 40_000.0},
            {"variable": "count", "statistic": "share", "state": "C", "at_least": 0.01,
             "at_most": 0.9},
        ]
    )  # fmt: skip
    alone = l0.calibrate(homes, targets, **SURVEY)
    both = l0.calibrate(homes, pd.concat([targets, limits]), **SURVEY)
    np.testing.assert_allclose(both.values, alone.values, rtol=1e-8)
    assert both.targets["shadow_price"][2:].tolist() == [0, 0, 0, 0]
    assert both.targets["error"][2:].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("statistic", ["total", "mean"])
@pytest.mark.parametrize("side", ["at_least", "at_most"])
def test_a_limit_that_holds_is_met_at_its_end(homes, statistic, side):
    of_a = homes[homes.state == "A"]
    own = (of_a.w * of_a.income).sum() if statistic == "total" else np.average(
        of_a.income, weights=of_a.w
    )  # fmt: skip
    limit = own * (1.1 if side == "at_least" else 0.9)
    target = {"variable": "income", "statistic": statistic, "state": "A"}
    limited = l0.calibrate(homes, pd.DataFrame([{**target, side: limit}]), **SURVEY)
    valued = l0.calibrate(homes, pd.DataFrame([{**target, "value": limit}]), **SURVEY)
    assert limited.targets["estimate"][0] == pytest.approx(limit, rel=1e-8)
    np.testing.assert_allclose(limited.values, valued.values, rtol=1e-6)
    price = limited.targets["shadow_price"][0]
    assert price == pytest.approx(valued.targets["shadow_price"][0], rel=1e-4)
    assert (price > 0) == (side == "at_least")


def test_the_error_of_limits_is_the_distance_to_them(homes):
    targets = pd.DataFrame(
        [
            {"variable": "count", "at_least": 1e6, "at_most": None},
            {"variable": "count", "at_least": None, "at_most": 1_000},
            {"variable": "count", "at_least": 10_000, "at_most": 30_000},
        ]
    )
    result = l0.calibrate(homes, targets, bounds=(0.9, 1.1), check_scale=False, **SURVEY)
    table = result.targets
    total = result.values.sum()
    np.testing.assert_allclose(table["error"], [total - 1e6, total - 1e3, 0])
    np.testing.assert_allclose(table["relative_error"], [total / 1e6 - 1, total / 1e3 - 1, 0])
    assert table["value"].isna().all()
    assert table["name"].tolist() == [
        "count (at least)",
        "count (at most)",
        "count (within limits)",
    ]
    assert table["at_least"].tolist()[0::2] == [1e6, 10_000]
    assert table["at_most"].isna().tolist() == [True, False, False]
    assert table["status"].tolist() == ["unreachable", "unreachable", "met"]
    assert "statistic" not in table


def test_a_mean_with_two_limits_is_two_targets(homes):
    targets = pd.DataFrame(
        [
            {"name": "x", "variable": "income", "statistic": "mean", "at_least": 1, "at_most": 9e5},
            {"name": "y", "variable": "income", "statistic": "mean", "state": "A", "at_least": 3e4,
             "at_most": 3e4},
        ]
    )  # fmt: skip
    result = l0.calibrate(homes, targets, **SURVEY)
    table = result.targets
    assert table["name"].tolist() == ["x (at least)", "x (at most)", "y"]
    assert table["at_least"].isna().tolist() == [False, True, False]
    np.testing.assert_allclose(table["importance"], 1 / 3)
    assert table["estimate"][2] == pytest.approx(3e4)


def test_a_tolerance_is_a_share_of_the_mean(homes):
    mean = np.average(homes.income, weights=homes.w)
    targets = pd.DataFrame(
        [
            {"variable": "count", "value": homes.w.sum(), "statistic": None, "tolerance": 0},
            {"variable": "income", "value": 1.2 * mean, "statistic": "mean", "tolerance": 0.1},
        ]
    )
    result = l0.calibrate(homes, targets, **SURVEY)
    assert result.targets["relative_error"][1] == pytest.approx(-0.1, rel=1e-6)
    assert result.targets["status"][1] == "met"


def test_a_shadow_price_is_the_change_of_the_objective(homes):
    def solved(value):
        target = {"variable": "income", "statistic": "mean", "state": "A", "value": value}
        result = l0.calibrate(homes, pd.DataFrame([target]), **SURVEY)
        assert result.metrics["fit_status"] == "exact"
        q = result.values / homes.w
        pull = 0.02 * (homes.w * (q * np.log(q) - q + 1)).sum() / homes.w.sum()
        return result.targets["shadow_price"][0], pull

    price, pull = solved(30_000.0)
    _, higher = solved(30_003.0)  # a hundredth of a percent more
    assert price == pytest.approx(100 * (higher - pull), rel=1e-2)
    assert price > 1e-6


# What cannot be met, and what forces records out


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ({"value": 200.0}, "it is at most 9 in each record"),
        ({"value": 0.5}, "it is at least 1 in each record"),
        ({"at_least": 10.0}, "it is at most 9 in each record"),
        ({"at_most": 0.9}, "it is at least 1 in each record"),
    ],
)
def test_a_mean_beyond_its_variable_is_out_of_reach(target, reason):
    homes = pd.DataFrame({"id": range(9), "w": 1.0, "x": np.arange(1.0, 10)})
    targets = pd.DataFrame(
        [{"variable": "count", "value": 9.0}, {"variable": "x", "statistic": "mean", **target}]
    )
    table = l0.calibrate(homes, targets, **SURVEY).targets
    assert table["status"].tolist() == ["met", "unreachable"]
    assert table["reason"][1] == reason


def test_bounds_may_put_a_mean_out_of_reach():
    homes = pd.DataFrame({"id": range(9), "w": 1.0, "x": np.arange(1.0, 10)})
    targets = pd.DataFrame(
        [
            {"variable": "count", "value": 9.0, "statistic": None},
            {"variable": "x", "value": 8.9, "statistic": "mean"},
        ]
    )
    table = l0.calibrate(homes, targets, bounds=(0.9, 1.1), **SURVEY).targets
    assert table["reason"][1] == "9 records within the bounds do not give it"


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ({"variable": "count", "statistic": "share", "s": "A", "value": 0.0}, "B"),
        ({"variable": "count", "statistic": "share", "s": "A", "at_most": 0.0}, "B"),
        ({"variable": "count", "statistic": "share", "s": "A", "value": 1.0}, "A"),
        ({"variable": "x", "statistic": "mean", "value": 2.0}, "B"),
        ({"variable": "x", "statistic": "mean", "at_most": 1.0}, "A"),
        ({"variable": "count", "s": "B", "at_most": 0.0}, "A"),
    ],
)
def test_the_end_of_what_records_allow_forces_the_others_out(target, kept):
    homes = pd.DataFrame({"id": range(10), "w": 1.0, "s": list("AB") * 5, "x": [1.0, 2.0] * 5})
    targets = pd.DataFrame([{"variable": "count", "value": 20.0}, target])
    result = l0.calibrate(homes, targets, **SURVEY)
    assert set(result.select(homes)["s"]) == {kept}
    assert result.metrics["n_forced_out"] == 5
    np.testing.assert_allclose(result.values, 4.0)
    assert set(result.targets["status"]) == {"met"}


def test_a_denominator_without_chosen_records_is_told():
    homes = pd.DataFrame({"id": range(40), "w": 1.0, "s": ["A"] * 39 + ["B"], "x": np.arange(40.0)})
    targets = pd.DataFrame(
        [
            {"variable": "count", "value": 40.0, "statistic": None, "s": None},
            {"variable": "x", "value": 39.0, "statistic": "mean", "s": "B"},
        ]
    )
    for seed in range(5):
        result = l0.calibrate(homes, targets, n_records=3, method="random", seed=seed, **SURVEY)
        if "B" not in set(result.select(homes)["s"]):
            break
    row = result.targets.iloc[1]
    assert np.isnan(row["estimate"])
    assert np.isnan(row["error"])
    assert row["relative_error"] == -1
    assert row["status"] == "missed"
    assert row["reason"] == "the chosen records add up to a denominator of 0"
    assert result.metrics["loss"] == pytest.approx(0.5)
    assert "none" in result.summary()


@pytest.mark.parametrize("method", ["hybrid", "path", "hard_concrete"])
def test_selectors_keep_records_on_both_sides_of_a_mean(method):
    rng = np.random.default_rng(0)
    n = 600
    homes = pd.DataFrame({"id": range(n), "w": 1.0, "s": np.where(np.arange(n) < 12, "A", "B"),
                          "x": rng.lognormal(0, 1, n)})  # fmt: skip
    targets = pd.DataFrame(
        [
            {"variable": "count", "value": float(n), "statistic": None, "s": None},
            {"variable": "x", "value": 1.5, "statistic": "mean", "s": "A"},
        ]
    )
    result = l0.calibrate(homes, targets, n_records=20, method=method, epochs=60, **SURVEY)
    if method != "hard_concrete":  # it promises no record for a target
        assert result.targets["estimate"][1] == pytest.approx(1.5, rel=1e-6)


def test_limits_that_contradict_each_other_are_named(homes):
    targets = pd.DataFrame(
        [
            {"name": "all", "variable": "count", "at_most": 10_000.0},
            {"name": "A", "variable": "count", "state": "A", "at_least": 6_000.0},
            {"name": "rest", "variable": "count", "state": "B", "value": 6_000.0},
        ]
    )
    with pytest.raises(InputError, match="contradict each other by 20%") as found:
        l0.calibrate(homes, targets, exact=True, **SURVEY)
    assert all(name in str(found.value) for name in ("all", "A", "rest"))


def test_a_table_of_kinds_survives_a_folder(homes, persons, tmp_path):
    targets = pd.concat([stated(), pd.DataFrame([{"variable": "tax", "at_least": 1e9}])])
    result = l0.calibrate(homes, targets, n_records=30, members={"person": persons}, epochs=40,
                          **SURVEY)  # fmt: skip
    result.save(tmp_path / "result")
    again = l0.CalibrationResult.load(tmp_path / "result", kind="pandas")
    pd.testing.assert_frame_equal(again.targets, result.targets, check_dtype=False)
    assert again.summary() == result.summary()
    page = (tmp_path / "result" / "report.html").read_text()
    assert "at least 1 billion" in page
    assert "Of limits, it is the distance to the nearer one" in page
    log = pd.read_csv(tmp_path / "result" / "calibration_log.csv")
    last = log[log.epoch == log.epoch.max()].set_index("target_name")
    value = result.targets.set_index("name")["estimate"]
    # The log takes the denominators at their design-weighted size.
    np.testing.assert_allclose(last["estimate"], value[last.index], rtol=0.05)
    assert last["target"].isna().sum() == 1


def test_a_published_denominator_is_its_size(homes):
    targets = pd.DataFrame(
        [
            {"variable": "count", "state": "A", "value": 9_000.0, "statistic": None},
            {"variable": "income", "state": "A", "value": 30_000.0, "statistic": "mean"},
            {"variable": "income", "state": "B", "value": 30_000.0, "statistic": "mean"},
        ]
    )
    problem = CalibrationProblem.from_frames(homes, targets, **SURVEY)
    scales = dict(zip(problem.names, problem.scales, strict=True))
    assert scales["mean income by state=A"] == pytest.approx(9_000 * 30_000)
    own = homes.w[homes.state == "B"].sum()
    assert scales["mean income by state=B"] == pytest.approx(own * 30_000)
    np.testing.assert_allclose(problem.own_scales[1:], 30_000)


def test_weights_on_another_scale_are_found_by_the_totals_alone(homes):
    total = {"variable": "count", "value": 1e7, "statistic": None, "state": None}
    means = [{"variable": "income", "value": 25_000.0, "statistic": "mean", "state": s}
             for s in "ABC"]  # fmt: skip
    with pytest.raises(InputError, match="not on one scale"):
        l0.calibrate(homes, pd.DataFrame([total, *means]), **SURVEY)
    l0.calibrate(homes, pd.DataFrame(means), **SURVEY)
    with pytest.raises(InputError, match="`weight` is not given, and no target says how many"):
        l0.calibrate(homes, pd.DataFrame(means), key="id")


def test_only_published_totals_determine_untargeted_statistics(homes):
    def counted(**target):
        targets = pd.DataFrame(
            [
                {"variable": "income", "value": 5e8},
                *({"variable": "count", "state": s, **target} for s in "AB"),
            ]
        )
        result = l0.calibrate(halves, targets, n_records=50, epochs=20, **SURVEY)
        return "count by state=A" in set(result.untargeted["statistic"])

    halves = homes.assign(state=["A", "B"] * (N // 2))
    assert not counted(value=10_000.0)
    assert counted(at_least=5_000.0)
    assert counted(statistic="share", value=1 / 2)


class First:
    """Select the first records."""

    needs_full_file = False

    def select(self, context, n_records):
        return Selection(np.arange(n_records), np.ones(n_records), 0.01)


def test_a_mean_whose_records_lose_their_weight_is_not_met_exactly():
    homes = pd.DataFrame({"w": 1.0, "x": [1.0, 1, 9, 9, 10, 10], "s": list("AABBBB")})
    targets = pd.DataFrame(
        [
            {"variable": "count", "value": 6.0, "statistic": None, "s": None},
            {"variable": "x", "value": 9.5, "statistic": "mean", "s": "B"},
            {"variable": "x", "value": 1 + 1e-9, "statistic": "mean", "s": None},
        ]
    )
    chosen = {"weight": "w", "n_records": 3, "method": First()}
    result = l0.calibrate(homes, targets, **chosen)
    assert result.targets["status"].tolist() == ["met", "missed", "met"]
    assert result.metrics["fit_status"] == "optimal"
    with pytest.raises(InputError, match="lost their weight: add a target for its denominator"):
        l0.calibrate(homes, targets, **chosen, exact=True)


# Records of weight 0


def test_records_of_weight_0_are_as_if_they_were_not_there(homes, persons):
    zeros = homes.assign(w=homes.w.where(homes.id % 10 > 0, 0.0))
    with_drop = l0.calibrate(zeros, stated(), n_records=50, zero_weights="drop", epochs=40,
                             members={"person": persons}, **SURVEY)  # fmt: skip
    rest = zeros[zeros.w > 0]
    without = l0.calibrate(rest, stated(), n_records=50, epochs=40, **SURVEY,
                           members={"person": persons[persons.id.isin(rest.id)]})  # fmt: skip
    assert with_drop.run["problem_sha256"] == without.run["problem_sha256"]
    pd.testing.assert_frame_equal(with_drop.weights, without.weights)
    assert with_drop.indices.tolist() == rest.index[without.indices].tolist()
    assert any("40 records were left out" in note for note in with_drop.run["notes"])
    pd.testing.assert_frame_equal(with_drop.select(zeros), without.select(rest))


def test_without_a_key_rows_are_those_of_the_whole_table(homes):
    zeros = homes.assign(w=homes.w.where(homes.id % 10 > 0, 0.0))
    limits = np.full(N, 3.0)
    limits[zeros.w == 0] = 0.5
    targets = stated()[:3].drop(columns="age")
    result = l0.calibrate(zeros, targets, zero_weights="drop", weight="w", bounds=(None, limits))
    assert len(result.select(zeros)) == N - 40
    assert result.select(zeros)["id"].tolist() == zeros.index[zeros.w > 0].tolist()
    with pytest.raises(InputError, match="of the 400 records"):
        result.select(zeros[zeros.w > 0])
