import numpy as np
import pytest
import scipy.sparse as sp
import torch

from l0 import SparseL0Linear

N, P = 400, 30


@pytest.fixture
def data():
    rng = np.random.default_rng(4)
    X = sp.random_array((N, P), density=0.4, random_state=rng, format="csr")
    coefficients = np.zeros(P)
    coefficients[[2, 7, 20]] = [3.0, -2.0, 4.0]
    return X, np.asarray(X @ coefficients) + 1.5, coefficients


def test_a_planted_support_is_found_with_its_coefficients(data):
    X, y, coefficients = data
    model = SparseL0Linear(P, seed=0).fit(X, y, lambda_reg=0.01, lr=0.03, epochs=1500)
    assert model.get_selected_features().tolist() == [2, 7, 20]
    assert model.get_sparsity() == pytest.approx(27 / 30)
    fitted = (model.weight * model.get_deterministic_gates()).detach()
    np.testing.assert_allclose(fitted, coefficients, atol=0.15)
    assert model.bias.item() == pytest.approx(1.5, abs=0.1)
    assert np.abs(model.predict(X).numpy() - y).mean() < 0.1


def test_predictions_are_those_of_the_dense_formula(data):
    X, y, _ = data
    for intercept in (True, False):
        model = SparseL0Linear(P, fit_intercept=intercept, seed=0).fit(X, y, epochs=20)
        with torch.no_grad():
            w = (model.weight * model.get_deterministic_gates()).numpy()
        b = model.bias.item() if intercept else 0
        np.testing.assert_allclose(model.predict(X), X @ w + b, rtol=1e-5, atol=1e-5)
        assert ("bias" in model.state_dict()) is intercept
        assert model.predict(X).shape == (N,)


def test_coefficients_start_at_the_first_fit_and_only_there(data):
    X, y, _ = data
    model = SparseL0Linear(P, seed=0)
    assert not model.weight.any()
    model.fit(X, y, epochs=0)
    start = model.weight.detach().clone()
    assert start.std().item() == pytest.approx(0.1, rel=0.5)
    assert model.bias.item() == pytest.approx(y.mean(), rel=1e-5)
    model.fit(X, y, epochs=0)
    assert torch.equal(model.weight, start)


def test_a_threshold_is_on_the_median_gate(data):
    model = SparseL0Linear(P, init_keep_prob=0.5, seed=0)
    with torch.no_grad():
        model.log_alpha.copy_(torch.linspace(-5, 5, P))
    gates = model.get_deterministic_gates()
    for threshold in (0.01, 0.5, 0.99):
        expected = [i for i, gate in enumerate(gates) if gate > threshold]
        assert model.get_selected_features(threshold).tolist() == expected
