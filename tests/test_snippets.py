"""The short pieces of code that users have been given run as they were given."""

import numpy as np
import pandas as pd
import pytest
import torch

from l0 import FeatureGate, HardConcrete, HybridGate, L0Linear, SampleGate, SparseMLP
from tests.gates.data import KINDS as TABLES

ROWS, COLUMNS = 10_000, 8

SAMPLE_GATE = """
from l0 import SampleGate
gate = SampleGate(n_samples=10000, target_samples=1000)
selected_data, indices = gate.select_samples(data)
"""

HARD_CONCRETE = """
from l0 import HardConcrete
gates = HardConcrete(len(household_weights), temperature=0.25, init_mean=0.999)
gates = HardConcrete(n_items=len(households), temperature=0.25, init_mean=0.999)
probs = gates()
masked_weights = weights * probs
"""

TEMPERATURE = """
from l0 import TemperatureScheduler, update_temperatures
scheduler = TemperatureScheduler(initial_temp=1.0, final_temp=0.1, total_epochs=100)
for epoch in range(100):
    temp = scheduler.get_temperature(epoch)
    update_temperatures(model, temp)
"""

PENALTY = """
from l0 import compute_l0l2_penalty
penalty = compute_l0l2_penalty(model, l0_lambda=1e-3, l2_lambda=1e-4)
loss = task_loss + penalty
"""

HYBRID_GATE = """
from l0 import HybridGate
hybrid = HybridGate(n_items=10000, l0_fraction=0.25, random_fraction=0.75, target_items=1000)
selected, indices, types = hybrid.select(data)
"""

FEATURE_GATE = """
from l0 import FeatureGate
gate = FeatureGate(n_features=1000, max_features=50)
selected_data, feature_indices = gate.select_features(data)
importance = gate.get_feature_importance()
"""

KINDS = {
    "torch": torch.from_numpy,
    "numpy": np.asarray,
    "pandas": lambda array: pd.DataFrame(array).add_prefix("x"),
}


def run(snippet, **variables):
    exec(snippet, variables)
    return variables


@pytest.fixture(params=KINDS)
def as_given(request):
    """Give an array as each kind of data."""
    return KINDS[request.param]


def columns_of(n, p, seed=0):
    return np.random.default_rng(seed).lognormal(size=(n, p)).astype(np.float32)


def assert_taken(selected, data, rows=slice(None), columns=slice(None)):
    """The same kind comes out, with these rows and columns in this order."""
    assert type(selected) is type(data)
    if isinstance(data, pd.DataFrame):
        pd.testing.assert_frame_equal(selected, data.iloc[rows, columns])
    else:
        np.testing.assert_array_equal(selected, data[rows][:, columns])


def test_samples(as_given):
    data = as_given(columns_of(ROWS, COLUMNS))
    got = run(SAMPLE_GATE, data=data)
    indices = np.asarray(got["indices"])
    assert indices.shape == (1000,) and (np.diff(indices) > 0).all()
    assert_taken(got["selected_data"], data, rows=indices)


def test_hard_concrete():
    weights = torch.rand(500) + 1
    got = run(
        HARD_CONCRETE,
        household_weights=weights.numpy(),
        households=pd.DataFrame({"weight": weights}),
        weights=weights,
    )
    assert got["gates"].gate_size == got["probs"].shape == (500,)
    assert ((got["probs"] >= 0) & (got["probs"] <= 1)).all()
    assert torch.equal(got["masked_weights"], weights * got["probs"])
    assert got["masked_weights"].requires_grad


@pytest.mark.parametrize("build", [lambda: SparseMLP(6, 5, 4), lambda: HardConcrete(5)])
def test_temperature(build):
    model = build()
    got = run(TEMPERATURE, model=model)
    assert got["temp"] == pytest.approx(10**-0.99)  # from 1 to 0.1, one epoch before the end
    gates = [module for module in model.modules() if isinstance(module, HardConcrete)]
    assert gates and all(gate.temperature == got["temp"] for gate in gates)


def test_penalty():
    model = torch.nn.Sequential(L0Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 1))
    got = run(PENALTY, model=model, task_loss=torch.tensor(2.0))
    weights = sum(layer.weight.square().sum() for layer in (model[0], model[2]))
    expected = 2 + 1e-3 * model[0].get_l0_penalty() + 1e-4 * weights
    torch.testing.assert_close(got["loss"], expected)
    got["loss"].backward()
    assert model[0].weight_gates.qz_logits.grad.abs().min() > 0


def test_hybrid(as_given):
    data = as_given(columns_of(ROWS, COLUMNS))
    got = run(HYBRID_GATE, data=data)
    indices, types = np.asarray(got["indices"]), np.asarray(got["types"])
    assert len(np.unique(indices)) == len(types) == 1000
    assert {kind: (types == kind).sum() for kind in ("l0", "random")} == {"l0": 250, "random": 750}
    assert_taken(got["selected"], data, rows=indices)


def test_features(as_given):
    data = as_given(columns_of(200, 1000))
    got = run(FEATURE_GATE, data=data)
    indices = np.asarray(got["feature_indices"])
    assert indices.shape == (50,) and (np.diff(indices) > 0).all()
    assert_taken(got["selected_data"], data, columns=indices)
    importance = np.asarray(got["importance"])
    assert importance.shape == (1000,)
    chosen = np.zeros(1000, dtype=bool)
    chosen[indices] = True
    assert importance[chosen].min() >= importance[~chosen].max()


@pytest.mark.parametrize("kind", ["torch", "numpy", "pandas"])
def test_all_gates_one_after_the_other(kind):
    values = np.random.default_rng(0).normal(size=(10_000, 4))
    data = TABLES[kind](values)
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
