"""Models and gates that learn from data: sparse weights, sparse regression, rows and columns."""

from __future__ import annotations

import io
from collections.abc import Callable
from copy import deepcopy
from functools import cache, partial
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

import l0
from device_parts.compare import (
    FLOAT32,
    HALVES,
    Check,
    default_device,
    global_generators_untouched,
    gradients,
    is_on,
    near,
    near_relative,
)
from device_parts.report import SkippedError

N, M = 400, 20
#: Two fits of a few epochs that round in another order.
FITS = 1e-3


@cache
def _data() -> tuple[sp.csr_array, np.ndarray]:
    generator = np.random.default_rng(0)
    matrix = sp.random_array((M, N), density=0.3, rng=generator, format="csr")
    return matrix, matrix @ generator.uniform(1, 5, N)


def _weights(device: torch.device | str, **options: Any) -> l0.SparseCalibrationWeights:
    options = {"init_keep_prob": 0.9, "seed": 0, **options}
    return l0.SparseCalibrationWeights(N, device=device, **options)


def _fit(model: Any, epochs: int = 30, **options: Any) -> Any:
    matrix, values = _data()
    if isinstance(model, l0.SparseCalibrationWeights):
        options = {"lambda_l0": 1e-3, "loss_type": "relative", "lr": 0.05, **options}
    return model.fit(matrix, values, epochs=epochs, **options)


def _linear(device: torch.device | str) -> l0.SparseL0Linear:
    return l0.SparseL0Linear(N, device=device, seed=0)


Make = Callable[..., Any]


def fit(device: torch.device, make: Make) -> str:
    """A fit lowers the error, leaves the global generators alone and stays on the device."""
    matrix, values = _data()
    model = make(device)

    def error() -> float:
        return float(np.square(model.predict(matrix).cpu().double().numpy() - values).mean())

    before = error()
    with global_generators_untouched():
        _fit(model, 100, verbose=False)
    after = error()
    assert after < before, f"the error went from {before:.4g} to {after:.4g}"
    for parameter in model.parameters():
        is_on(parameter, device)
    return f"mean square error {before:.3g} before, {after:.3g} after"


def same_seed(device: torch.device, make: Make) -> str:
    """The same seed gives about the same fit; the last bits are worth knowing."""
    one, other = (_fit(make(device)).get_deterministic_gates() for _ in range(2))
    gap = near("the gates", one, other, FITS)
    return "the same to the last bit" if gap == 0 else f"gates differ by {gap:.1g}"


def resume(device: torch.device, make: Make) -> None:
    """Two fits are one long one; copies and pickles of the module go on too."""
    long = _fit(make(device), 20)
    first = _fit(make(device), 10)
    file = io.BytesIO()
    torch.save(first, file)
    file.seek(0)
    unpickled = torch.load(file, weights_only=False)
    for model in (deepcopy(first), unpickled, first):
        _fit(model, 10)
        for (name, one), other in zip(model.named_parameters(), long.parameters(), strict=True):
            near_relative(f"`{name}`", one, other, FITS)


def to_and_fro(device: torch.device, make: Make) -> None:
    """A state goes to the CPU and back, and a module that has moved goes on fitting."""
    matrix, _ = _data()
    model = _fit(make(device))
    expected = model.predict(matrix)
    is_on(expected, device)
    here = make("cpu")
    here.load_state_dict(model.state_dict())
    near_relative("predictions on the CPU", here.predict(matrix), expected, FLOAT32)
    there = make(device)
    there.load_state_dict(here.state_dict())
    near_relative("predictions back on the device", there.predict(matrix), expected, FLOAT32)
    _fit(there, 5)
    # Moved in the middle of a fit: Adam's state and the generator come from another device.
    for start, end in (("cpu", device), (device, "cpu")):
        moved = _fit(make(start), 5).to(end)
        _fit(moved, 5)
        is_on(moved.predict(matrix), torch.device(end))
        for parameter in moved.parameters():
            assert parameter.isfinite().all()


def tensors(device: torch.device, make: Make) -> None:
    """Matrices and totals that are tensors of the device, dense and sparse."""
    matrix, values = _data()
    dense = torch.as_tensor(matrix.toarray(), dtype=torch.float32).to(device)
    expected = _fit(make(device), 5).predict(matrix)
    for given in (dense, dense.to_sparse(), dense.to_sparse_csr()):
        model = make(device)
        options = {"lambda_l0": 1e-3, "loss_type": "relative", "lr": 0.05}
        if not isinstance(model, l0.SparseCalibrationWeights):
            options = {}
        model.fit(given, torch.as_tensor(values).to(device), epochs=5, **options)
        near_relative("predictions", model.predict(given), expected, 10 * FITS)


def verbose_groups(device: torch.device) -> None:
    """Groups of targets, both penalties, and looks at the weights."""
    matrix, _ = _data()
    model = _weights(device, log_weight_jitter_sd=0.05, use_gates=True)
    groups = torch.arange(M, device=device) % 3
    _fit(model, target_groups=groups, group_multipliers={0: 2.0}, lambda_l2=1e-6)
    active = model.get_active_weights()
    is_on(active["indices"], device)
    assert active["count"] == len(active["values"])
    assert 0 <= model.get_sparsity() < 1
    model(matrix).sum().backward()
    gradients(model)
    given = torch.full((N,), 2.0, device=device)
    near(
        "weights from a tensor", _weights(device, init_weights=given).log_weight.exp(), given, 1e-5
    )


def fit_under_autocast(device: torch.device, make: Make) -> None:
    """Autocast around a fit changes nothing."""
    expected = _fit(make(device), 10)
    for precision in HALVES:
        model = make(device)
        with torch.autocast(device.type, precision):
            _fit(model, 10)
            gates = model.get_deterministic_gates()
        assert gates.dtype == torch.float32
        for (name, one), other in zip(model.named_parameters(), expected.parameters(), strict=True):
            near_relative(f"`{name}` under {precision}", one, other, FITS)


def fit_under_default_device(device: torch.device, make: Make) -> None:
    """`torch.set_default_device` changes nothing, on either device."""
    for place in {device, torch.device("cpu")}:
        expected = _fit(make(place), 10)
        with default_device(device):
            model = _fit(make(place), 10)
        for (name, one), other in zip(model.named_parameters(), expected.parameters(), strict=True):
            is_on(one, place)
            near_relative(f"`{name}`", one, other, FITS)


def _table(device: torch.device) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Rows, an outcome of columns 2 and 4, and what is in the tensor."""
    rows = np.random.default_rng(2).lognormal(size=(150, 5)).astype(np.float32)
    outcome = np.log(rows[:, 2]) - 2 * np.log(rows[:, 4])
    x = torch.as_tensor(np.log(rows)).to(device)
    return x, torch.as_tensor(outcome).to(device), np.log(rows)


def sample_gate(device: torch.device) -> str:
    """Rows of a tensor, with weights and without, by a gate on the device and one on the CPU."""
    x, _, rows = _table(device)
    weights = torch.ones(len(x), device=device)
    for place in {device, torch.device("cpu")}:
        with global_generators_untouched():
            gate = l0.SampleGate(150, 40).to(place)
            selected, kept, indices = gate.select_weighted_samples(x, weights)
        for tensor in (selected, kept, indices):
            is_on(tensor, device)
        near("the rows", selected, rows[indices.cpu().numpy()], 0)
        assert len(indices) == 40
        assert (kept > 0).all()
        total = (kept[:, None] * selected).sum(0)
        near("their totals", total, rows.sum(0), 0.02 * np.abs(rows).sum(0))
        even = l0.SampleGate(150, 40).to(place)
        is_on(even.select_samples(x)[0], device)
        gate.get_penalty().backward()
        gradients(gate)
    return f"totals off by {float(np.abs(total.cpu().numpy() / rows.sum(0) - 1).max()):.2%}"


def feature_gate(device: torch.device) -> None:
    """Columns of a tensor that predict another tensor; their importance."""
    x, y, rows = _table(device)
    for place in {device, torch.device("cpu")}:
        gate = l0.FeatureGate(5, 2).to(place).fit(x, y)
        selected, columns = gate.select_features(x)
        is_on(selected, device)
        is_on(columns, device)
        assert columns.tolist() == [2, 4], f"it chose {columns.tolist()}"
        near("the columns", selected, rows[:, [2, 4]], 0)
        importance = gate.get_feature_importance()
        is_on(importance, torch.device(place))
        assert importance[columns.to(importance.device)].min() > 0.9


def nonlinear_feature_gate(device: torch.device) -> None:
    """Networks choose the columns of a product."""
    x, _, _ = _table(device)
    outcome = x[:, 1] * x[:, 3]
    gate = l0.FeatureGate(5, 2).to(device).fit(x, outcome, nonlinear=True)
    assert gate.select_features(x)[1].tolist() == [1, 3]


def nonlinear_under_default_device(device: torch.device) -> None:
    """The same where `torch.set_default_device` was called."""
    if device.type == "cpu":
        raise SkippedError("the CPU is the default device anyway")
    with default_device(device):
        nonlinear_feature_gate(device)


def hybrid_gate(device: torch.device) -> None:
    """Rows that are learnt and rows that are drawn."""
    x, _, rows = _table(device)
    gate = l0.HybridGate(150, target_items=40).to(device)
    chances = torch.rand(150, device=device)
    selected, indices, kinds = gate.select(x, random_seed=0, probabilities=chances)
    is_on(selected, device)
    is_on(indices, device)
    near("the rows", selected, rows[indices.cpu().numpy()], 0)
    assert (kinds == "l0").sum() == 10


_MODELS: dict[str, Make] = {"SparseCalibrationWeights": _weights, "SparseL0Linear": _linear}
_FITS: dict[str, Callable[..., str | None]] = {
    "fit": fit,
    "the same seed": same_seed,
    "resume, copy, pickle": resume,
    "to the CPU and back": to_and_fro,
    "tensors as input": tensors,
    "fit under autocast": fit_under_autocast,
    "under a default device": fit_under_default_device,
}

CHECKS: dict[str, Check] = {
    **{
        f"{model}: {what}": partial(action, make=make)
        for model, make in _MODELS.items()
        for what, action in _FITS.items()
    },
    "SparseCalibrationWeights: groups, penalties, looks": verbose_groups,
    "SampleGate": sample_gate,
    "FeatureGate": feature_gate,
    "FeatureGate: nonlinear": nonlinear_feature_gate,
    "FeatureGate: nonlinear, under a default device": nonlinear_under_default_device,
    "HybridGate": hybrid_gate,
}
