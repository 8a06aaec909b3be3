import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l0 import HybridGate
from l0.common.errors import InputError
from tests.gates.data import convert, numbers, table, train


@convert
def test_both_parts_together_are_the_number_asked_for(convert):
    data = convert(table())
    gate = HybridGate(400, target_items=42)
    selected, indices, types = gate.select(data, random_seed=1)
    assert type(selected) is type(data)
    indices = np.asarray(indices)
    assert len(indices) == 42 and (np.diff(indices) > 0).all()
    assert types.shape == (42,)
    assert (types == "l0").sum() == gate.n_l0 == 11  # 10.5, to the nearest item
    assert (types == "random").sum() == gate.n_random == 31
    np.testing.assert_array_equal(indices[types == "l0"], gate.l0_gate.get_top_indices(11))
    np.testing.assert_array_equal(numbers(selected), numbers(data)[indices])


@given(
    n=st.integers(1, 500),
    share=st.floats(0.01, 1),
    rest=st.floats(0, 1),
    data=st.data(),
)
@settings(deadline=None)
def test_shares_are_to_the_nearest_item(n, share, rest, data):
    target = data.draw(st.integers(1, n))
    both = share + rest if share + rest <= 1 else 1.0
    rest = both - share
    exact = target * share / (share + rest)
    if exact < 0.5:
        with pytest.raises(ValueError, match="`l0_fraction` .* is no item"):
            HybridGate(n, share, rest, target)
        return
    gate = HybridGate(n, share, rest, target)
    assert gate.n_l0 + gate.n_random == target
    assert abs(gate.n_l0 - exact) <= 0.5 + 1e-9


def test_the_draw_has_its_own_seed_or_follows_the_global_one():
    def draw(seed, world):
        torch.manual_seed(world)
        return gate.select(table(), seed)[1].tolist()

    gate = HybridGate(400, target_items=40)
    assert draw(1, 0) == draw(1, 5) != draw(2, 0)
    assert draw(None, 0) == draw(None, 0) != draw(None, 1)
    before = torch.get_rng_state()
    gate.select(table(), random_seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_draw_has_the_probabilities_given():
    gate = HybridGate(100, target_items=20)
    learnt = train(gate, gate.n_l0)
    size = np.repeat([0.0, 1.0, 3.0], [20, 40, 40])
    rest = np.setdiff1d(np.arange(100), learnt)
    times = np.zeros(100)
    for seed in range(600):
        _, indices, types = gate.select(np.ones((100, 1)), seed, probabilities=size)
        times[indices[types == "random"]] += 1
    expected = 15 * size / size[rest].sum()
    sd = np.sqrt(600 * expected * (1 - expected))
    assert (np.abs(times - 600 * expected)[rest] <= 4.5 * sd[rest]).all()
    assert not times[:20].any() and not times[learnt].any()


def test_a_trained_hybrid_keeps_what_was_trained():
    gate = HybridGate(400, target_items=40)
    learnt = train(gate, gate.n_l0)
    _, indices, types = gate.select(table(), 0)
    np.testing.assert_array_equal(indices[types == "l0"], learnt)


def test_nothing_need_be_drawn():
    _, indices, types = HybridGate(400, 1.0, 0.0, 30).select(table())
    assert len(indices) == 30 and set(types) == {"l0"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((10, 0.6, 0.6), "`l0_fraction` 0.6 and `random_fraction` 0.6"),
        ((10, -0.1, 0.6), "`l0_fraction` -0.1"),
        ((10, 0.0, 0.0), "`l0_fraction`"),
        ((10, math.nan, 0.5), "`l0_fraction`"),
        ((10, 0.25, 0.75, 11), "`target_items` is 11"),
        ((10, 0.25, 0.75, 0), "`target_items` must be"),
        ((3,), "`l0_fraction` 0.25 of 1 `target_items` is no item"),
    ],
)
def test_impossible_hybrids_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        HybridGate(*arguments)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (-np.ones(400), "`probabilities` is negative at 0, 1"),
        (np.ones(3), "`probabilities` has shape"),
        (np.eye(400)[0], "`probabilities` are positive for . items beside the learnt"),
    ],
)
def test_impossible_probabilities_are_named(probabilities, message):
    with pytest.raises(InputError, match=message):
        HybridGate(400).select(table(), probabilities=probabilities)


@pytest.mark.parametrize("seed", ["1", True, -1, 1.0])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(InputError, match="`random_seed` must be an integer of at least 0"):
        HybridGate(20, target_items=5).select(np.arange(60.0).reshape(20, 3), random_seed=seed)


def test_a_wrong_seed_is_refused_before_any_item_is_chosen(monkeypatch):
    gate, chosen = HybridGate(20, target_items=5), []
    monkeypatch.setattr(gate.l0_gate, "select_samples", chosen.append)
    with pytest.raises(InputError, match="`random_seed`"):
        gate.select(np.arange(60.0).reshape(20, 3), random_seed="1")
    assert not chosen
