from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import lsq_linear

from l0.common.errors import InputError
from l0.linear_model import L0Classifier, L0Regressor, L0Selector
from l0.linear_model.limits import Limits
from tests.linear_model.problems import planted

NAMES = ["a", "b", "c"]
NONE = np.empty(0, np.int64)


def test_bounds_come_as_an_array_or_by_name_or_position():
    found = Limits(coef_bounds={"b": (0, 2), "a": (-np.inf, 0.5)}).bounds(NAMES, 3)
    assert found.tolist() == [[-np.inf, 0.5], [0, 2], [-np.inf, np.inf]]
    assert Limits(coef_bounds={1: [0, 2], 0: [-np.inf, 0.5]}).bounds(None, 3).tolist() == (
        found.tolist()
    )
    assert Limits(coef_bounds=found).bounds(None, 3).tolist() == found.tolist()
    frame = pd.DataFrame({"low": [0, -np.inf], "high": [2, 0.5]}, index=["b", "a"])
    assert Limits(coef_bounds=frame).bounds(NAMES, 3).tolist() == found.tolist()
    in_order = frame.reset_index(drop=True)
    assert Limits(coef_bounds=in_order).bounds(NAMES[:2], 2).tolist() == [[0, 2], [-np.inf, 0.5]]
    with pytest.raises(InputError, match="do not exist: 'b', 'a'"):
        Limits(coef_bounds=frame).bounds(None, 2)
    assert Limits(nonnegative=True).bounds(None, 2).tolist() == [[0, np.inf]] * 2
    assert Limits().bounds(NAMES, 3) is None
    assert Limits().exclusive(NAMES, 3, None, NONE) is None


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ([[0, 1]], r"has shape \(1, 2\)"),
        ([[0, 1, 2]] * 3, r"has shape \(3, 3\)"),
        ([[0, 1], [2, -1], [0, 1]], "lower bound above the upper one, for the columns 'b'; swap"),
        ([[0, 1], [0, 1], [0.5, 1]], "does not contain 0.*'c'; .*`must_keep`"),
        ([[0, 1], [-2, -1], [0, 1]], "does not contain 0"),
        ([[0, 1], [0, 0], [0, 1]], r"allows only 0, for the columns 'b'; leave these columns out"),
        ([[0, 1], [0, np.nan], [0, 1]], "is NaN"),
        ([[0, 1], [np.inf, np.inf], [0, 1]], "does not contain 0"),
        ({"d": (0, 1)}, "names columns that do not exist: 'd'"),
        ({3: (0, 1)}, "names columns that do not exist: 3"),
        ({True: (0, 1)}, "names columns that do not exist: True"),
        ({"a": 1}, "for the column 'a'; pass the least and the largest"),
        ({"a": (0, 1, 2)}, "for the column 'a'"),
        ({"a": (0, 1), 0: (0, 2)}, "several bounds for a column: 'a', 0"),
        ("none", "`coef_bounds`"),
        (np.array([[False, True]] * 3), "True or False where numbers belong"),
        ([[0, 1], [0, True], [0, 1]], "True or False"),
        (np.array([[0, 1], [0, True], [0, 1]], object), "True or False"),
        ({"a": (False, 2.0)}, "True or False"),
        ({"a": np.array([False, True])}, "True or False"),
        (pd.DataFrame({"low": [-1.0] * 3, "high": [True] * 3}), "True or False"),
        (pd.DataFrame({"low": [-1] * 3, "high": [True] * 3}, NAMES), "True or False"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(bounds, words):
    with pytest.raises(InputError, match=words):
        Limits(coef_bounds=bounds).bounds(NAMES, 3)


def test_two_kinds_of_bounds_are_refused():
    with pytest.raises(InputError, match="pass one of them"):
        Limits(nonnegative=True, coef_bounds={0: (0, 1)}).bounds(None, 3)


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ("ab", "pass a list of lists"),
        (["ab"], "pass lists in a list"),
        ([3], "pass lists in a list"),
        (iter([["a", "b"]]), "pass a list of lists"),
        ({"a": "b"}, "pass a list of lists"),
        ([["a", "b"], ["d", "a"]], "names columns that do not exist: 'd'"),
        ([["a", "b"], ["c"]], "set 1 of `at_most_one` is 'c'; list two or more"),
        ([["a", "a", "b"]], "each once"),
        ([["a", 0]], "each once"),
        ([[]], "two or more"),
    ],
)
def test_sets_that_make_no_sense_are_refused(sets, words):
    with pytest.raises(InputError, match=words):
        Limits(at_most_one=sets).exclusive(NAMES, 3, None, NONE)


def test_sets_that_groups_or_kept_columns_break_are_refused():
    limits = Limits(at_most_one=[["a", "b"]])
    with pytest.raises(InputError, match="several columns of a group"):
        limits.exclusive(NAMES, 3, [np.array([0, 1]), np.array([2])], NONE)
    with pytest.raises(InputError, match="`must_keep` has several columns of set 0"):
        limits.exclusive(NAMES, 3, None, np.array([0, 1]))
    groups = limits.exclusive(NAMES, 3, [np.array([0, 2]), np.array([1])], np.array([0]))
    assert [members.tolist() for members in groups.sets] == [[0, 1]]


def best_objective(x, y, units, k, bounds, sets, l2):
    """The least objective of k units within bounds and sets, by fitting them all."""
    n, scale, total = len(x), x.std(axis=0), len(units)
    best = np.inf
    for chosen in combinations(range(total), k):
        if any(len(set(chosen) & set(members)) > 1 for members in sets):
            continue
        columns = np.concatenate([units[unit] for unit in chosen]).astype(int)
        z = np.vstack([(x - x.mean(0))[:, columns], np.sqrt(l2 * n) * np.diag(scale[columns])])
        target = np.append(y - y.mean(), np.zeros(len(columns)))
        found = lsq_linear(z, target, bounds[columns].T, method="bvls", tol=1e-12)
        best = min(best, 2 * found.cost)
    return best


CASES = {
    "bounds": {"bounds": True},
    "sets": {"sets": True},
    "nonnegative groups": {"groups": True, "nonnegative": True},
    "bounds and groups": {"groups": True, "bounds": True},
    "bounds, groups and sets": {"groups": True, "bounds": True, "sets": True},
    "nonnegative and sets": {"nonnegative": True, "sets": True},
}


@pytest.mark.parametrize("name", CASES)
def test_the_best_choice_within_limits_is_found_in_nearly_all_problems(name):
    case, exact = CASES[name], 0
    for seed in range(8):
        l2 = 0.05 * (seed % 2)
        x, y, _ = planted(seed, n=40, p=9, k=5, rho=0.6, noise=1.0)
        x = x * np.random.default_rng(seed).uniform(0.5, 5, 9)
        generator, settings = np.random.default_rng(seed), {}
        units, bounds, sets = [[j] for j in range(9)], np.tile([-np.inf, np.inf], (9, 1)), []
        if case.get("groups"):
            units = [[0], [1, 2], [3], [4, 5, 6], [7], [8]]
            settings["groups"] = [0, 1, 1, 2, 3, 3, 3, 4, 5]
        if case.get("bounds"):
            bounds = np.column_stack([-generator.random(9), generator.random(9)])
            bounds[generator.permutation(9)[:3], 0] = 0
            bounds[generator.permutation(9)[:3], 1] = np.inf
            settings["coef_bounds"] = bounds
        if case.get("nonnegative"):
            bounds = np.tile([0.0, np.inf], (9, 1))
            settings["nonnegative"] = True
        if case.get("sets"):
            sets = [[0, 1, 2], [2, 4]]
            settings["at_most_one"] = [[units[unit][0] for unit in members] for members in sets]
        k = 3
        model = L0Regressor(k, l2=l2, **settings).fit(x, y)
        assert (bounds[:, 0] <= model.coef_).all() and (model.coef_ <= bounds[:, 1]).all()
        chosen = {u for u, columns in enumerate(units) if set(columns) & set(model.support_)}
        assert len(chosen) == k
        assert all(len(chosen & set(members)) <= 1 for members in sets)
        left = y - y.mean() - (x - x.mean(0)) @ model.coef_
        own = left @ left + l2 * len(x) * np.sum((x.std(0) * model.coef_) ** 2)
        best = best_objective(x, y, units, k, bounds, sets, l2)
        assert own >= best * (1 - 1e-8)
        exact += own <= best * (1 + 1e-7)
    assert exact >= 7


@pytest.mark.parametrize(
    "settings", [{"coef_bounds": {0: (0, 1)}}, {"at_most_one": [[0, 1]]}, {"nonnegative": True}]
)
def test_other_losses_refuse_limits(settings):
    x, y, _ = planted(0)
    (name,) = settings
    for loss in ("huber", "poisson"):
        with pytest.raises(InputError, match=f'`{name}` needs `loss="squared"`'):
            L0Regressor(2, loss=loss, **settings).fit(x, np.abs(y))
    with pytest.raises(InputError, match=f"`{name}` needs"):
        L0Selector(2, **settings).fit(x, y > 0)
    with pytest.raises(TypeError):
        L0Classifier(2, **settings)


def test_several_outcomes_take_sets_and_no_bounds():
    x, y, support = planted(0, k=2)
    both = np.column_stack([y, -2 * y])
    model = L0Regressor(1, at_most_one=[support.tolist()]).fit(x, both)
    assert len(set(model.support_) & set(support)) == 1
    assert len(L0Regressor(2, at_most_one=[support.tolist()]).fit(x, both).support_) == 2
    with pytest.raises(InputError, match="2 columns"):
        L0Regressor(2, coef_bounds={0: (0, 1)}).fit(x, both)


def test_limits_hold_in_a_frame_by_name_for_every_size_and_in_folds():
    x, y, _ = planted(1, n=80, p=8, k=4, noise=1.0)
    frame = pd.DataFrame(x, columns=list("abcdefgh"))
    limits = {"coef_bounds": {"a": (0, 0.3), "b": (-0.2, 0)}, "at_most_one": [["c", "d"]]}
    for how in ({"max_features": 6}, {"cv": 3, "max_features": 6}):
        model = L0Regressor(**limits, **how).fit(frame, y)
        assert (model.coefs_path_[:, 0] >= 0).all() and (model.coefs_path_[:, 0] <= 0.3).all()
        assert (model.coefs_path_[:, 1] <= 0).all() and (model.coefs_path_[:, 1] >= -0.2).all()
        assert not (model.coefs_path_[:, 2:4] != 0).all(axis=1).any()
        assert model.swap_gap_ <= 1e-9


def test_more_columns_than_the_sets_allow_are_a_warning():
    x, y, _ = planted(0, p=4, k=2)
    with pytest.warns(UserWarning, match="or `at_most_one` keeps them out"):
        model = L0Regressor(3, at_most_one=[[0, 1], [2, 3]]).fit(x, y)
    assert len(model.support_) == 2


def test_a_selector_passes_limits_on():
    x, y, _ = planted(0, p=6, k=3)
    limits = {"coef_bounds": {2: (0, 0.1)}, "at_most_one": [[0, 1]]}
    selector = L0Selector(3, loss="squared", **limits).fit(x, y)
    assert selector.estimator_.coef_.tolist() == L0Regressor(3, **limits).fit(x, y).coef_.tolist()


@pytest.mark.parametrize("settings", [{"coef_bounds": {0: (0, 1)}}, {"at_most_one": [[0, 1]]}])
def test_a_certificate_is_not_for_limits(settings):
    x, y, _ = planted(0)
    with pytest.raises(InputError, match="`certify` has no bound for"):
        L0Regressor(3, certify=True, **settings).fit(x, y)


def test_overlapping_sets_do_not_end_the_search_below_a_size_that_there_is():
    """A column that keeps out many others comes in first, and has to leave again."""
    x = np.random.default_rng(0).normal(size=(40, 7))
    y = 5 * x[:, 0] + x[:, 1:].sum(axis=1)
    star = [[0, other] for other in range(1, 6)]
    model = L0Regressor(6, at_most_one=star).fit(x, y)
    assert model.support_.tolist() == [1, 2, 3, 4, 5, 6]
    path = L0Regressor(max_features=6, at_most_one=star, coef_bounds={0: (0, 9)}).fit(x, y).path_
    assert [len(columns) for columns in path] == [*range(7)] and 0 in path[2]
    generator = np.random.default_rng(0)
    for _ in range(12):
        sets = [generator.choice(7, 3, replace=False).tolist() for _ in range(3)]
        pairs = [{*pair} for one in sets for pair in combinations(one, 2)]
        most = max(
            size
            for size in range(8)
            for chosen in combinations(range(7), size)
            if not any(pair <= {*chosen} for pair in pairs)
        )
        assert len(L0Regressor(most, at_most_one=sets).fit(x, y).support_) == most
