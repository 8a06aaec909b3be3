"""How often features are chosen from halves of the rows, and whether the bounds hold."""

import numpy as np
import pandas as pd
import pytest

from l0.common.errors import InputError
from l0.linear_model import (
    L0Classifier,
    L0Cox,
    L0Regressor,
    StabilitySelection,
    stability_selection,
)
from tests.linear_model.problems import classes, outcomes, planted


def result(shares=(1.0, 0.0), n_pairs=50, q=5.0, p=100, threshold=0.75):
    shares = np.array(shares)
    return StabilitySelection(shares, threshold, n_pairs, q, p, ["a", "b"], shares > 2)


def test_bounds_are_those_of_the_paper():
    """Figures by hand: q = 5 of p = 100, so that q^2 / p = .25."""
    assert result().bound == pytest.approx(0.25 / 0.5)
    assert result().unimodal_bound == pytest.approx(0.25 / (2 * (0.5 - 0.01)))
    assert result().bounds(0.9) == pytest.approx((0.25 / 0.8, 0.25 * 4 * 0.11 / 1.02))
    assert result().bounds(1.0)[1] == pytest.approx(0.25 * 0.04 / 1.02)
    # Shares are multiples of 1 / (2 B): .701 is reached from .71 on.
    assert result().bounds(0.701) == result().bounds(0.71)
    # Both forms of the constant meet at 3/4 for many pairs.
    many = result(n_pairs=10**6)
    assert many.bounds(0.75)[1] == pytest.approx(many.bounds(0.7500001)[1], rel=1e-4)
    # A choice of most features has no unimodal bound, nor has a threshold next to one half.
    assert np.isnan(result(q=60.0).unimodal_bound) and result(q=60.0).bound == pytest.approx(72)
    assert np.isnan(result().bounds(0.51)[1])
    assert result(p=0, q=0.0).bounds(0.8) == (0.0, 0.0)


def test_shares_are_those_of_fits_to_halves():
    x, y, support = planted(0, n=60, p=20, noise=2.0)
    found = stability_selection(L0Regressor(3), x, y, n_pairs=10, random_state=3)
    assert found.shares.sum() == pytest.approx(3) and found.n_chosen == 3
    np.testing.assert_allclose(found.shares * 20, np.round(found.shares * 20))
    assert (found.shares[support] > 3 / 20).all()
    again = stability_selection(L0Regressor(3), x, y, n_pairs=10, random_state=3)
    np.testing.assert_array_equal(found.shares, again.shares)
    other = stability_selection(L0Regressor(3), x, y, n_pairs=10, random_state=4)
    assert not np.array_equal(found.shares, other.shares)


def test_every_loss_weights_groups_kept_columns_and_names():
    x, y, _ = planted(0, n=80, p=12, noise=2.0)
    frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(12)])
    groups = {f"x{j}": j // 3 for j in range(12)}
    weights = np.arange(80) % 3
    for estimator, outcome in (
        (L0Regressor(2, groups=groups, must_keep=["x4"]), y),
        (L0Regressor(2, groups=groups, must_keep=["x4"], loss="huber"), y),
        (L0Regressor(2, groups=groups, must_keep=["x4"], loss="poisson"), np.exp(y / 3)),
        (L0Regressor(2, groups=groups, must_keep=["x4"]), np.column_stack([y, y + x[:, 0]])),
        (L0Classifier(2, groups=groups, must_keep=["x4"]), classes(0, n=80)[1]),
        (L0Classifier(2, groups=groups, must_keep=["x4"]), classes(0, n=80, n_classes=3)[1]),
        (L0Cox(2, groups=groups, must_keep=["x4"]), outcomes(0, "survival", n=80)[1]),
    ):
        found = stability_selection(estimator, frame, outcome, n_pairs=3, sample_weight=weights)
        assert found.n_candidates == 3 and found.n_chosen == 1
        assert found.kept.tolist() == [3 <= j < 6 for j in range(12)]
        assert (found.shares[3:6] == 1).all() and found.shares.sum() == pytest.approx(6)
        table = found.to_frame("polars")
        assert table["feature"][:3].to_list() == ["x3", "x4", "x5"]
        assert table["must_keep"].sum() == 3 and (table["share"] > 0).all()
        assert not hasattr(estimator, "support_")


@pytest.mark.slow
def test_processes_make_no_difference():
    x, y, _ = planted(0, n=60, p=8, noise=2.0)
    one, two = (stability_selection(L0Regressor(2), x, y, n_pairs=2, n_jobs=j) for j in (1, 2))
    np.testing.assert_array_equal(one.shares, two.shares)


def test_stable_columns_of_noise_are_fewer_than_the_bounds_say():
    """Pure noise: every column has the same probability, q / p, so that all are in L."""
    stable, runs = [], 10
    for seed in range(runs):
        x, _, _ = planted(seed, n=60, p=12, rho=0.8)
        y = np.random.default_rng(seed + 1000).normal(size=60)
        found = stability_selection(L0Regressor(3), x, y, n_pairs=6, threshold=0.7)
        stable.append(len(found.support))
    spread = np.std(stable) / np.sqrt(runs)
    assert np.mean(stable) <= found.unimodal_bound + 2 * spread
    assert found.unimodal_bound < found.bound


def test_what_cannot_be_halved_is_named():
    x, y, _ = planted(0, n=60)
    with pytest.raises(InputError, match="`threshold` must be a number above .5 and up to 1"):
        stability_selection(L0Regressor(2), x, y, threshold=0.5)
    with pytest.raises(InputError, match="`n_pairs` must be an integer of at least 1"):
        stability_selection(L0Regressor(2), x, y, n_pairs=0)
    once = np.column_stack([x, np.arange(60) == 50])
    with pytest.raises(InputError, match="in a half of the rows: `must_keep` has columns"):
        stability_selection(L0Regressor(must_keep=[30]), once, y)
    with pytest.warns(UserWarning, match=r"6 of 6 fits to halves of the rows gave a warning: only"):
        stability_selection(L0Regressor(2), np.column_stack([x[:, 0]] * 3), y, n_pairs=3)
