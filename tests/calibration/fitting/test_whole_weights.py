from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from l0.calibration.fitting import whole_weights as module
from l0.calibration.fitting.whole_weights import Aims, largest_remainders, whole_weights

weights_of_some = hnp.arrays(float, st.integers(1, 40), elements=st.floats(1, 200))


def case(seed, k, m=6, squared=False, mean=2.0, exact=True):
    """Make fitted weights of at least 1, what they add to targets, and the aims of these."""
    rng = np.random.default_rng(seed)
    amounts = np.where(np.arange(m) % 2, 1.0, rng.lognormal(0, 1, (k, m)))
    parts = amounts * (rng.random((k, m)) < 0.5)
    weights = 1 + rng.gamma(1, mean, k)
    goals = parts.T @ weights
    scales = np.where(goals > 0, goals, 1.0)
    goals = goals / scales * (1.0 if exact else rng.lognormal(0, 0.05, m))
    share = rng.uniform(0.5, 2, m)
    high = np.where(rng.random(m) < 0.2, np.inf, goals)
    aims = Aims(goals, high, share / share.sum(), squared)
    return weights, sp.csr_array(parts / scales), aims


@given(weights=weights_of_some, seed=st.integers(0, 99))
def test_weights_are_rounded_down_or_up_and_their_sum_is_the_nearest_whole_number(weights, seed):
    _, parts, aims = case(seed, len(weights))
    whole = whole_weights(weights, parts, aims)
    assert whole.dtype == np.int64
    assert ((whole == np.floor(weights)) | (whole == np.ceil(weights))).all()
    assert whole.sum() == np.rint(weights.sum())
    assert whole.min() >= 1


@given(weights=hnp.arrays(int, st.integers(1, 30), elements=st.integers(1, 10**12)))
def test_whole_weights_stay(weights):
    _, parts, aims = case(0, len(weights))
    np.testing.assert_array_equal(whole_weights(weights.astype(float), parts, aims), weights)


@given(seed=st.integers(0, 999), k=st.integers(1, 60), squared=st.booleans(), exact=st.booleans())
def test_the_loss_is_never_above_that_of_the_largest_remainders(seed, k, squared, exact):
    weights, parts, aims = case(seed, k, squared=squared, exact=exact)
    whole = whole_weights(weights, parts, aims)
    plain = largest_remainders(weights)
    assert plain.sum() == whole.sum() == np.rint(weights.sum())
    assert aims.loss(parts.T @ whole) <= aims.loss(parts.T @ plain) * (1 + 1e-12)


def best_loss(weights, parts, aims):
    """Try all ways to round."""
    down = np.floor(weights)
    n_up = int(np.rint(weights.sum()) - down.sum())
    losses = []
    for up in combinations(np.flatnonzero(weights > down), n_up):
        whole = down.copy()
        whole[list(up)] += 1
        losses.append(aims.loss(parts.T @ whole))
    return min(losses)


@pytest.mark.parametrize("squared", [False, True])
def test_it_ends_near_the_best_of_all_ways_to_round(squared):
    found, best, plain = [], [], []
    for seed in range(30):
        weights, parts, aims = case(seed, 10, squared=squared)
        found.append(aims.loss(parts.T @ whole_weights(weights, parts, aims)))
        plain.append(aims.loss(parts.T @ largest_remainders(weights)))
        best.append(best_loss(weights, parts, aims))
    assert (np.array(found) >= np.array(best) - 1e-12).all()
    assert np.isclose(found, best, rtol=1e-9).mean() > 0.5
    assert np.mean(found) - np.mean(best) < 0.25 * (np.mean(plain) - np.mean(best))


@pytest.mark.parametrize("k", [100, 2_000])
def test_no_exchange_of_two_records_is_left_that_gains_much(k):
    weights, parts, aims = case(3, k, m=40)
    whole = whole_weights(weights, parts, aims)
    loss = aims.loss(parts.T @ whole)
    steps = np.where(whole < weights, 1, -1)
    dense, estimates = parts.toarray(), parts.T @ whole
    rng = np.random.default_rng(0)
    ups, downs = (rng.choice(np.flatnonzero(steps == each), 40, False) for each in (1, -1))
    pairs = [aims.loss(estimates + dense[up] - dense[down]) for up in ups for down in downs]
    assert min(pairs) > 0.98 * loss


@settings(max_examples=30)
@given(seed=st.integers(0, 999), exponents=hnp.arrays(int, 6, elements=st.integers(-30, 30)))
def test_units_of_shares_do_not_matter(seed, exponents):
    """Importance and parts in other units are the same problem."""
    weights, parts, aims = case(seed, 30)
    by = 2.0**exponents
    scaled = sp.csr_array(parts.multiply(by))
    same = Aims(aims.low * by, aims.high * by, aims.share / by, False)
    np.testing.assert_array_equal(
        whole_weights(weights, scaled, same), whole_weights(weights, parts, aims)
    )


def test_a_limit_of_work_ends_the_search(monkeypatch):
    weights, parts, aims = case(1, 500, m=40)
    whole = whole_weights(weights, parts, aims)
    monkeypatch.setattr(module, "MOST_ENTRIES", 1)
    monkeypatch.setattr(module, "MOST_ROUNDS", 3)
    early = whole_weights(weights, parts, aims)
    assert early.sum() == whole.sum()
    losses = [aims.loss(parts.T @ of) for of in (whole, early, largest_remainders(weights))]
    assert losses[0] < losses[1] < losses[2]


def test_blocks_of_entries_change_nothing(monkeypatch):
    weights, parts, aims = case(2, 300)
    whole = whole_weights(weights, parts, aims)
    monkeypatch.setattr(module, "BLOCK", 16)
    np.testing.assert_array_equal(whole_weights(weights, parts, aims), whole)


def test_records_that_add_to_no_target_are_rounded_too():
    parts = sp.csr_array((4, 3))
    aims = Aims(np.zeros(3), np.zeros(3), np.ones(3), False)
    np.testing.assert_array_equal(
        whole_weights(np.array([1.2, 1.9, 2.5, 3.0]), parts, aims), [1, 2, 3, 3]
    )
