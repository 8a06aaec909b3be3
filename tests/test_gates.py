import copy
import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l0 import FeatureGate, HardConcrete, HybridGate, L0Gate, SampleGate
from l0.common.errors import InputError
from l0.data.arrays import as_columns

NAMES = ["a", "b", "c", "d"]


def table(seed=0, n=400):
    generator = np.random.default_rng(seed)
    return np.exp(generator.normal(size=(n, 4)) @ generator.normal(size=(4, 4)) / 2)


def as_frame(values):
    return pd.DataFrame(values, columns=NAMES, index=np.arange(len(values))[::-1] + 100)


KINDS = {
    "torch": lambda values: torch.tensor(values, dtype=torch.float32),
    "numpy": lambda values: values,
    "pandas": as_frame,
    "polars": lambda values: pl.from_pandas(as_frame(values)),
    "pyarrow": lambda values: pa.Table.from_pandas(as_frame(values), preserve_index=False),
}
convert = pytest.mark.parametrize("convert", KINDS.values(), ids=KINDS)


def numbers(data):
    return as_columns(data, "data").values


def train(gate, n_open):
    """Give a gate logits as training would, the last `n_open` items the most probably open."""
    gate = getattr(gate, "l0_gate", gate)
    with torch.no_grad():
        logits = torch.linspace(-3, 3, gate.size)
        gate.gates.qz_logits.copy_(logits)
    return np.arange(gate.size - n_open, gate.size)


GATES = {
    "L0Gate": lambda: L0Gate(6),
    "SampleGate": lambda: SampleGate(6, 2),
    "FeatureGate": lambda: FeatureGate(6, 2),
    "HybridGate": lambda: HybridGate(6, target_items=4),
}
each_gate = pytest.mark.parametrize("make", GATES.values(), ids=GATES)


# Names and defaults


def test_defaults():
    gate = L0Gate(5)
    assert (gate.size, gate.temperature, gate.init_mean) == (5, 0.5, 0.5)
    assert isinstance(gate.gates, HardConcrete)
    sample = SampleGate(20, 5)
    assert (sample.n_samples, sample.target_samples) == (20, 5)
    assert (sample.temperature, sample.init_mean) == (0.25, 0.25)
    feature = FeatureGate(10, 2)
    assert (feature.n_features, feature.max_features) == (10, 2)
    assert (feature.temperature, feature.init_mean) == (0.1, 0.2)
    hybrid = HybridGate(100)
    assert (hybrid.l0_fraction, hybrid.random_fraction, hybrid.target_items) == (0.25, 0.75, 20)
    assert (hybrid.n_l0, hybrid.n_random, hybrid.l0_gate.temperature) == (5, 15, 0.25)
    assert SampleGate(5, 5).init_mean == FeatureGate(5, 5).init_mean == 0.99


@each_gate
def test_state_holds_the_logits_and_nothing_else(make):
    gate = make()
    prefix = "l0_gate." if isinstance(gate, HybridGate) else ""
    assert list(gate.state_dict()) == [f"{prefix}gates.qz_logits"]


@each_gate
def test_state_survives_a_file_and_a_copy(make, tmp_path):
    gate, other = make(), make()
    train(gate, 2)
    torch.save(gate.state_dict(), tmp_path / "gate.pt")
    other.load_state_dict(torch.load(tmp_path / "gate.pt", weights_only=True))
    for twin in (other, copy.deepcopy(gate)):
        torch.testing.assert_close(twin.get_penalty(), gate.get_penalty())


@each_gate
def test_the_penalty_is_the_expected_count_and_differentiable(make):
    gate = make()
    inner = getattr(gate, "l0_gate", gate)
    train(gate, 2)
    gate.get_penalty().backward()
    torch.testing.assert_close(gate.get_penalty(), inner.gates.get_active_prob().sum())
    assert (inner.gates.qz_logits.grad > 0).all()


# L0Gate


def test_temperature_is_that_of_the_gates():
    gate = L0Gate(3)
    gate.temperature = 0.2
    assert gate.gates.temperature == 0.2
    gate.gates.temperature = 0.7
    assert gate.temperature == 0.7


def test_gates_are_sampled_in_training_and_median_in_evaluation():
    gate = L0Gate(1000)
    assert not torch.equal(gate.get_gates(), gate.get_gates())
    assert gate.eval().get_gates().unique().numel() == 1


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2, -3])
def test_gates_apply_along_an_axis(dim):
    gate = L0Gate(4).eval()
    train(gate, 2)
    x = torch.rand(4, 4, 4)
    expected = torch.movedim(torch.movedim(x, dim, -1) * gate.get_gates(), -1, dim)
    torch.testing.assert_close(gate.apply_gates(x, dim), expected)


def test_gates_apply_to_rows_by_default():
    gate = L0Gate(2).eval()
    train(gate, 1)
    torch.testing.assert_close(
        gate.apply_gates(torch.ones(2, 3)), gate.get_gates()[:, None].expand(2, 3)
    )


@pytest.mark.parametrize(("shape", "dim"), [((3, 4), 0), ((4, 3), 1), ((4,), 1), ((), 0)])
def test_a_tensor_of_another_length_is_named(shape, dim):
    with pytest.raises(ValueError, match="`x` has shape"):
        L0Gate(4).apply_gates(torch.ones(shape), dim)


@pytest.mark.parametrize("mode", [True, False])
def test_active_items_are_those_of_the_median_gate_in_any_mode(mode):
    gate = L0Gate(9).train(mode)
    train(gate, 3)
    median = copy.deepcopy(gate).eval().get_gates()
    for threshold in (0.0, 0.5, 0.9):
        expected = torch.nonzero(median > threshold).flatten()
        assert torch.equal(gate.get_active_indices(threshold), expected)
    assert torch.equal(gate.get_active_indices(), gate.get_active_indices(0.5))


@given(logits=st.lists(st.sampled_from([-1.0, 0.0, 50.0, 60.0]), min_size=1, max_size=9))
def test_top_items_are_the_most_probable_and_of_equals_the_first(logits):
    gate = L0Gate(len(logits))
    gate.gates.qz_logits.data.copy_(torch.tensor(logits))
    for k in range(len(logits) + 1):
        expected = sorted(sorted(range(len(logits)), key=lambda i: (-logits[i], i))[:k])
        assert gate.get_top_indices(k).tolist() == expected


def test_a_functional_call_sees_the_logits_it_is_given():
    gate = SampleGate(4, 2).eval()
    logits = torch.tensor([5.0, -5, 5, -5], requires_grad=True)
    z = torch.func.functional_call(gate, {"gates.qz_logits": logits}, ())
    assert z.tolist() == [1, 0, 1, 0]


def test_a_gate_trains_on_its_samples_and_penalty():
    torch.manual_seed(0)
    gate = L0Gate(4, init_mean=0.9)
    optimizer = torch.optim.Adam(gate.parameters(), lr=0.1)
    useful = torch.tensor([1.0, 0, 1, 0])
    for _ in range(200):
        optimizer.zero_grad()
        (((gate.get_gates() - 1) * useful).square().sum() + 0.1 * gate.get_penalty()).backward()
        optimizer.step()
    assert gate.get_active_indices().tolist() == [0, 2]


# SampleGate


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


# FeatureGate


def regression(seed=0, n=300, p=12):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, p)) + generator.normal(size=(n, 1))
    return x, 3 * x[:, 2] - 2 * x[:, 7] + x[:, 9] + 0.1 * generator.normal(size=n)


def open_probability(gate):
    return gate.gates.get_active_prob().detach()


def test_the_columns_that_predict_are_found_in_order_of_what_they_lose():
    x, y = regression()
    gate = FeatureGate(12, 3).fit(x, y)
    probability = open_probability(gate)
    assert probability.argsort(descending=True)[:3].tolist() == [2, 7, 9]
    assert ((probability > 0.5).nonzero().flatten()).tolist() == [2, 7, 9]
    assert gate.eval().get_gates().tolist() == [float(j in (2, 7, 9)) for j in range(12)]


def test_importance_is_the_share_of_halves_in_which_a_feature_is_chosen():
    x, y = regression()
    x = np.column_stack([x[:, :10], x[:, 2], x[:, 11]])  # column 10 is column 2 again
    gate = FeatureGate(12, 4).fit(x, y)
    importance = gate.get_feature_importance()
    assert not importance.requires_grad
    assert importance.shape == (12,)
    torch.testing.assert_close(50 * importance, (50 * importance).round())
    assert importance[7] == importance[9] == importance[2] + importance[10] == 1
    assert (importance[[2, 10]] > 0.2).all()
    assert (importance[[0, 1, 3, 4, 5, 6, 8, 11]] < 0.6).all()
    assert importance.sum().item() == pytest.approx(4)
    importance.zero_()
    assert gate.get_feature_importance()[7] == 1


def test_the_same_data_give_the_same_importance():
    x, y = regression(n=40)
    torch.manual_seed(0)
    first = FeatureGate(12, 3).fit(x, y).get_feature_importance()
    torch.manual_seed(1)
    assert torch.equal(FeatureGate(12, 3).fit(x, y).get_feature_importance(), first)


def test_importance_goes_where_the_gate_goes():
    x, y = regression()
    gate = FeatureGate(12, 3).fit(x, y)
    importance = gate.get_feature_importance()
    assert torch.equal(copy.deepcopy(gate).get_feature_importance(), importance)
    assert list(gate.state_dict()) == ["gates.qz_logits"]
    torch.testing.assert_close(
        gate.double().get_feature_importance(), importance, check_dtype=False
    )


def test_importance_is_p_open_where_nothing_was_split():
    x, y = regression()
    fitted = FeatureGate(12, 3).fit(x, y)
    loaded = FeatureGate(12, 3)
    loaded.load_state_dict(fitted.state_dict())
    trained = FeatureGate(12, 3).fit(x, y)
    with torch.no_grad():
        trained.gates.qz_logits[0] += 0.1
    again = FeatureGate(12, 3).fit(x, y).fit(x, y, n_splits=0)
    asked = FeatureGate(12, 3)
    asked.select_features(x)
    few = FeatureGate(12, 3).fit(x[:3], y[:3])
    for gate in (FeatureGate(12, 3), loaded, trained, again, asked, few):
        assert torch.equal(gate.get_feature_importance(), open_probability(gate))


@pytest.mark.parametrize("classes", [False, True])
def test_columns_that_only_a_network_can_use_are_found(classes):
    x = np.random.default_rng(0).normal(size=(1000, 20))
    y = np.where(x[:, 4] * x[:, 11] > 0, "same", "other") if classes else x[:, 4] * x[:, 11]
    gate = FeatureGate(20, 2).fit(x, y, nonlinear=True)
    assert gate.select_features(x)[1].tolist() == [4, 11]
    assert torch.equal(gate.get_feature_importance(), open_probability(gate))


def test_a_nonlinear_fit_splits_where_it_is_asked_to(monkeypatch):
    monkeypatch.setattr("l0.gates.network.STEPS", 100)
    x = np.random.default_rng(0).normal(size=(400, 5))
    importance = FeatureGate(5, 1).fit(x, x[:, 3] ** 2, nonlinear=True, n_splits=1)
    assert importance.get_feature_importance().tolist() == [0, 0, 0, 1, 0]


@convert
def test_exactly_the_columns_asked_for_in_the_kind_that_came_in(convert):
    data = convert(table())
    gate = FeatureGate(4, 2)
    selected, indices = gate.select_features(data)
    assert type(selected) is type(data)
    assert isinstance(indices, torch.Tensor) == isinstance(data, torch.Tensor)
    assert list(np.asarray(indices)) == sorted(set(np.asarray(indices).tolist()))
    np.testing.assert_array_equal(numbers(selected), numbers(data)[:, np.asarray(indices)])
    again, names = gate.select_features_with_names(data, NAMES)
    assert names == [NAMES[index] for index in indices]
    assert type(again) is type(data)


@pytest.mark.parametrize("shape", [(300, 12), (3, 100, 12), (2, 5, 30, 12)])
def test_features_are_the_last_axis(shape):
    x, _ = regression()
    data = torch.tensor(x).reshape(shape)
    selected, indices = FeatureGate(12, 5).select_features(data)
    torch.testing.assert_close(selected, data[..., indices])
    _, flat = FeatureGate(12, 5).select_features(x)
    assert indices.tolist() == flat.tolist()


@pytest.mark.parametrize(
    "make",
    [
        lambda y: torch.tensor(y, dtype=torch.float32),
        lambda y: y[:, None],
        lambda y: np.column_stack([y, -5 * y]),
        lambda y: pd.Series(y),
        lambda y: pl.DataFrame({"y": y}),
        lambda y: y > 0,
        lambda y: np.where(y > 0, "yes", "no"),
        lambda y: pd.Series(np.where(y > 0, "yes", "no"), dtype="category"),
        lambda y: y.tolist(),
    ],
)
def test_outcomes_of_any_kind(make):
    x, y = regression(n=2000)
    _, indices = FeatureGate(12, 3).fit(x, make(y)).select_features(x)
    assert indices.tolist() == [2, 7, 9]


def test_scale_of_columns_does_not_matter():
    x, y = regression()
    sizes = 10.0 ** np.arange(-6, 6)
    plain = FeatureGate(12, 5).fit(x, y)
    other = FeatureGate(12, 5).fit(x * sizes + sizes, -1e9 * y)
    torch.testing.assert_close(open_probability(plain), open_probability(other))
    torch.testing.assert_close(plain.get_feature_importance(), other.get_feature_importance())


def test_constant_columns_come_last():
    x, _ = regression()
    x[:, [0, 5]] = 0.1
    gate = FeatureGate(12, 3).fit(x)
    assert sorted(open_probability(gate).argsort()[:2].tolist()) == [0, 5]
    assert gate.get_feature_importance()[[0, 5]].tolist() == [0, 0]


def test_a_trained_feature_gate_is_used_as_it_stands():
    gate = FeatureGate(12, 3)
    best = train(gate, 3)
    np.testing.assert_array_equal(gate.select_features(regression()[0])[1], best)


@pytest.mark.parametrize("temperature", [0.1, 2.0])
def test_every_column_may_be_kept(temperature):
    x, y = regression()
    gate = FeatureGate(12, 12, temperature).fit(x, y).eval()
    assert (gate.get_gates() == 1).all()
    assert gate.select_features(x)[1].tolist() == list(range(12))


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((5, 3)), None, r"`X` has shape \(5, 3\); it needs 2 columns, the `n_features`"),
        (np.ones(2), None, "`X` has shape"),
        (np.array([[1.0, np.inf]]), None, "`X` is NaN or infinite .*'column 1'"),
        (sp.eye_array(2), None, r"`X` is a sparse matrix; pass `X.toarray\(\)`, or .*L0Selector"),
        (pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}), None, "`X` has columns .*: 'a'; encode"),
        (pd.DataFrame({"a": ["x", "x"], "b=c": [1, 2]}), None, "`X` has columns .*: 'a'; encode"),
        (np.eye(3)[:, :2], [1.0, 2.0], "`y` has 2 rows and `X` has 3"),
        (np.eye(3)[:, :2], [1.0, 1.0, 1.0], "`y` is constant"),
        (np.eye(3)[:, :2], [1.0, np.nan, 1.0], "`y` is NaN"),
    ],
)
def test_what_cannot_be_learnt_from_is_named(X, y, message):
    with pytest.raises(InputError, match=message):
        FeatureGate(2, 1).fit(X, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nonlinear": True}, "`nonlinear` needs .* pass `y`"),
        ({"n_splits": -1}, "`n_splits`"),
        ({"n_splits": 2.5}, "`n_splits`"),
    ],
)
def test_options_of_a_fit_that_cannot_be_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        FeatureGate(12, 3).fit(regression()[0], **options)


def test_a_list_of_names_of_another_length_is_named():
    with pytest.raises(InputError, match="`feature_names` has 3 names for 4"):
        FeatureGate(4, 2).select_features_with_names(table(), ["a", "b", "c"])


# HybridGate


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


# The snippets of the documentation of l0-python, as written there


@pytest.mark.parametrize("kind", ["torch", "numpy", "pandas"])
def test_documented_snippets_run(kind):
    values = np.random.default_rng(0).normal(size=(10_000, 4))
    data = KINDS[kind](values)
    gate = SampleGate(n_samples=10000, target_samples=1000)
    selected_data, indices = gate.select_samples(data)
    assert selected_data.shape == (1000, 4)
    hybrid = HybridGate(n_items=10000, l0_fraction=0.25, random_fraction=0.75, target_items=1000)
    selected, indices, types = hybrid.select(data)
    assert len(selected) == len(indices) == len(types) == 1000
    wide = np.random.default_rng(1).normal(size=(200, 1000))
    data = {"torch": torch.tensor, "numpy": np.asarray, "pandas": pd.DataFrame}[kind](wide)
    gate = FeatureGate(n_features=1000, max_features=50)
    selected_data, feature_indices = gate.select_features(data)
    importance = gate.get_feature_importance()
    assert selected_data.shape == (200, 50)
    assert len(feature_indices) == 50 and importance.shape == (1000,)
