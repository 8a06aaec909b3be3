import copy

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch

from l0 import FeatureGate
from l0.common.errors import InputError
from tests.gates.data import NAMES, convert, numbers, table, train


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


@pytest.mark.parametrize("names", [range(12), pd.MultiIndex.from_product([[1, 2], range(6)])])
def test_names_of_columns_need_not_be_text(names):
    x, y = regression()
    frame = pd.DataFrame(x, columns=names)
    chosen, columns = FeatureGate(12, 3).fit(frame, y).select_features(frame)
    assert chosen.columns.equals(frame.columns[columns])
    np.testing.assert_array_equal(columns, FeatureGate(12, 3).fit(x, y).select_features(x)[1])


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
        (np.ma.array(np.eye(2), mask=np.eye(2) == [0, 1]), None, "`X` is NaN .*'column 0', 'colu"),
        ([[1.0, 2.0], [3.0]], None, "`X` cannot become an array"),
        (pd.DataFrame(np.eye(2), columns=[0, "0"]), None, "`X` has the columns '0' more than once"),
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


@pytest.mark.parametrize("nonlinear", ["no", 0, None])
def test_nonlinear_is_true_or_false(nonlinear):
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(InputError, match="`nonlinear` must be True or False"):
        FeatureGate(3, 2).fit(x, x[:, 0], nonlinear=nonlinear)
