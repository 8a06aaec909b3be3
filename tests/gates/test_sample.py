import copy

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l0 import SampleGate
from l0.common.errors import InputError
from tests.gates.data import as_frame, convert, numbers, table, train


@convert
def test_exactly_the_number_asked_for_in_the_kind_that_came_in(convert):
    values = table()
    data = convert(values)
    selected, indices = SampleGate(400, 57).select_samples(data)
    assert type(selected) is type(data)
    assert isinstance(indices, torch.Tensor) == isinstance(data, torch.Tensor)
    indices = np.asarray(indices)
    assert indices.dtype == np.int64
    assert (np.diff(indices) > 0).all() and len(indices) == 57
    np.testing.assert_array_equal(numbers(selected), numbers(data)[indices])
    if isinstance(data, pd.DataFrame):
        assert selected.equals(data.iloc[indices])
    if isinstance(data, torch.Tensor):
        assert selected.dtype == data.dtype


@given(n=st.integers(1, 40), data=st.data())
@settings(deadline=None, max_examples=15)
def test_any_number_of_rows_of_any_file(n, data):
    k = data.draw(st.integers(1, n))
    values = table(n)[:n]
    rows, weights, indices = SampleGate(n, k).select_weighted_samples(values, np.ones(n))
    assert len(rows) == len(weights) == len(set(indices.tolist())) == k
    assert (weights > 0).all()


def test_weighted_rows_reproduce_totals_and_moments_of_the_weighted_whole():
    values = table(n=1000)
    weights = np.random.default_rng(0).uniform(1, 9, 1000)
    rows, own, _ = SampleGate(1000, 200).select_weighted_samples(values, weights)
    assert own.sum() == pytest.approx(weights.sum(), rel=1e-3)
    np.testing.assert_allclose(own @ rows, weights @ values, rtol=2e-3)
    np.testing.assert_allclose(own @ rows**2, weights @ values**2, rtol=1e-2)
    np.testing.assert_allclose((rows.T * own) @ rows, (values.T * weights) @ values, rtol=3e-2)


def test_rows_alone_stand_for_the_whole():
    def error(rows):
        return np.abs((values[rows].mean(axis=0) - values.mean(axis=0)) / values.std(axis=0)).mean()

    values = table(n=1000)
    _, indices = SampleGate(1000, 100).select_samples(values)
    chance = [np.random.default_rng(s).permutation(1000)[:100] for s in range(20)]
    assert error(indices) < 0.25 * np.mean([error(rows) for rows in chance])


def test_given_totals_are_hit():
    frame = as_frame(table(n=500))
    totals = {"c": 1.3 * frame["c"].sum(), "a": 0.9 * frame["a"].sum()}
    gate = SampleGate(500, 80).fit(frame, targets=totals)
    rows, weights, _ = gate.select_weighted_samples(frame, np.ones(500))
    for name, total in totals.items():
        assert weights @ rows[name] == pytest.approx(total, rel=1e-3)
    values = frame.to_numpy()
    gate = SampleGate(500, 80).fit(values, targets=1.2 * values.sum(axis=0), even=True)
    rows, weights, _ = gate.select_weighted_samples(values, np.ones(500))
    np.testing.assert_allclose(weights @ rows, 1.2 * values.sum(axis=0), rtol=2e-3)


def test_a_total_of_a_level_of_text():
    frame = as_frame(table(n=300)).assign(state=["CA", "NY", "TX"] * 100)
    gate = SampleGate(300, 40).fit(frame, targets={"state=NY": 120, "a": 500.0})
    rows, weights, _ = gate.select_weighted_samples(frame, np.ones(300))
    assert weights[(rows["state"] == "NY").to_numpy()].sum() == pytest.approx(120, rel=1e-3)


@pytest.mark.parametrize("even", [True, False])
def test_scale_and_shift_of_columns_do_not_matter(even):
    values = table(n=300)
    plain = SampleGate(300, 60).fit(values, even=even)
    other = SampleGate(300, 60).fit(values * [1e-3, 8, 1024, 1] + [0, 64, 0, 0], even=even)
    common = np.intersect1d(plain.get_top_indices(60), other.get_top_indices(60))
    assert len(common) >= 57  # all but for rounding


def test_one_seed_gives_one_choice_and_leaves_the_global_generators_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    gates = [SampleGate(400, 50).fit(table(), seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    first, same, other = (gate.get_top_indices(50).tolist() for gate in gates)
    assert first == same != other


@pytest.mark.parametrize("temperature", [0.05, 0.25, 1.0, 2.0])
def test_a_fit_opens_and_closes_gates_but_leaves_them_a_gradient(temperature):
    gate = SampleGate(400, 50, temperature).fit(table())
    gate.eval()
    z = gate.get_gates()
    assert torch.equal(torch.nonzero(z == 1).flatten(), gate.get_top_indices(50))
    assert int((z == 0).sum()) == 350
    gate.get_penalty().backward()
    assert (gate.gates.qz_logits.grad > 1e-6).all()


def test_a_trained_gate_is_used_as_it_stands():
    gate = SampleGate(400, 50)
    best = train(gate, 50)
    _, indices = gate.select_samples(table())
    np.testing.assert_array_equal(indices, best)
    _, weights, indices = gate.select_weighted_samples(table(), np.full(400, 3.0))
    np.testing.assert_array_equal(indices, best)
    medians = gate.eval().get_gates()[best].detach().double().numpy()
    np.testing.assert_allclose(weights, 3 * medians)


def test_closed_gates_among_those_taken_keep_a_small_weight():
    gate = SampleGate(10, 5)
    gate.gates.qz_logits.data.copy_(torch.linspace(-30, -20, 10))
    _, weights, _ = gate.select_weighted_samples(np.ones((10, 1)), np.full(10, 2.0))
    np.testing.assert_allclose(weights, 2e-6)


def test_ratios_of_a_fit_serve_its_own_rows_only():
    values = table()
    gate = SampleGate(400, 50).fit(values)
    clone = copy.deepcopy(gate)
    _, fitted, _ = gate.select_weighted_samples(values, np.ones(400))
    _, doubled, _ = clone.select_weighted_samples(values, np.full(400, 2.0))
    np.testing.assert_allclose(doubled, 2 * fitted)
    fresh = SampleGate(400, 50)
    fresh.load_state_dict(gate.state_dict())
    _, plain, _ = fresh.select_weighted_samples(values, np.ones(400))
    np.testing.assert_array_equal(plain, 1.0)  # the state holds no weights
    train(gate, 50)
    _, weights, _ = gate.select_weighted_samples(values, np.ones(400))
    assert (weights <= 1).all()


@pytest.mark.parametrize(
    "weights",
    [
        torch.ones(400, dtype=torch.float64),
        pd.Series(np.ones(400), index=np.arange(400)[::-1]),
        pl.Series("w", np.ones(400)),
        pa.chunked_array([np.ones(400)]),
    ],
)
def test_weights_come_back_in_the_kind_they_had(weights):
    frame = as_frame(table())
    rows, own, indices = SampleGate(400, 50).select_weighted_samples(frame, weights)
    assert type(own) is type(weights)
    if isinstance(own, pd.Series):
        assert own.index.tolist() == weights.index[indices].tolist()
    own = np.asarray(own)
    assert own @ rows["a"] == pytest.approx(frame["a"].sum(), rel=5e-3)


def test_weights_keep_their_gradient():
    weights = torch.ones(400, requires_grad=True)
    data = torch.tensor(table(), dtype=torch.float32)
    _, own, indices = SampleGate(400, 50).select_weighted_samples(data, weights)
    own.sum().backward()
    torch.testing.assert_close(weights.grad[indices], own.detach())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_choose_the_same_number(dtype):
    data = torch.tensor(table()).to(dtype)
    gate = SampleGate(400, 50).to(dtype)
    for _ in range(2):
        selected, indices = gate.select_samples(data)
        assert len(indices) == 50
        assert selected.dtype == dtype
    assert int((gate.eval().get_gates() == 1).sum()) == 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 0), "`target_samples` must be an integer of at least 1"),
        ((0, 1), "`n_samples` must be an integer of at least 1"),
        ((5, 2.5), "`target_samples` must be"),
        ((5, 6), "`target_samples` is 6 and `n_samples` only 5"),
    ],
)
def test_impossible_sizes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        SampleGate(*arguments)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (np.ones((5, 2)), {}, "`data` has shape .*needs 4 rows, the `n_samples`"),
        (np.array([[1.0], [2], [np.nan], [3]]), {}, "`data` is NaN .*'column 0'"),
        (np.ones((4, 2)), {"weights": np.ones(3)}, "`weights` has shape"),
        (np.ones((4, 2)), {"weights": [1, 0, 1, 1]}, "`weights`"),
        (np.ones((4, 2)), {"targets": [1.0]}, "`targets` has shape .*each of the 2 columns"),
        (np.ones((4, 2)), {"targets": [1.0, np.nan]}, "`targets` is NaN"),
        (as_frame(np.ones((4, 4))), {"targets": {"A": 1.0}}, "`targets` names 'A'.*closest|there"),
        (as_frame(np.ones((4, 4))), {"targets": {}}, "`targets` is empty"),
        (np.ones((4, 2)), {"seed": -1}, "`seed`"),
    ],
)
def test_what_cannot_be_fitted_is_named(data, options, message):
    with pytest.raises(InputError, match=message):
        SampleGate(4, 2).fit(data, **options)


def test_rows_without_a_positive_weight_are_named():
    gate = SampleGate(4, 2)
    train(gate, 2)
    with pytest.raises(InputError, match="`weights` is not positive at 1, 3"):
        gate.select_weighted_samples(np.ones((4, 1)), [1, 0, 1, -2])


@pytest.mark.parametrize("even", ["no", 0, None])
def test_even_is_true_or_false(even):
    with pytest.raises(InputError, match="`even` must be True or False"):
        SampleGate(20, 5).fit(np.arange(60.0).reshape(20, 3), even=even)


def test_a_sparse_matrix_is_refused_with_what_to_pass():
    gate, data = SampleGate(20, 5), sp.csr_array(np.eye(20))
    for choose in (gate.fit, gate.select_samples):
        with pytest.raises(InputError, match=r"`data` is a sparse matrix; pass `data.toarray\(\)`"):
            choose(data)
