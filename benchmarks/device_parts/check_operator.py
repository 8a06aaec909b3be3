"""The sparse operator, against products of scipy in float64 on the CPU."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from device_parts.compare import FLOAT32, HALVES, Check, default_device, is_on, near
from l0.sparse_operator import SparseOperator

M, N, DENSE = 300, 2_000, 4


class Sample:
    """A matrix with full, thin and empty rows and some empty columns, scaled both ways."""

    def __init__(self, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        thin = sp.random_array((M - DENSE, N), density=0.02, rng=generator, format="csr")
        full = sp.csr_array(generator.normal(size=(DENSE, N)))
        matrix = sp.csr_array(sp.vstack([full, thin], format="csr"))
        keep_rows = np.arange(M) % 17 != 5
        keep_columns = np.arange(N) % 13 != 3
        matrix = sp.csr_array(sp.diags_array(keep_rows * 1.0) @ matrix)
        matrix = sp.csr_array(matrix @ sp.diags_array(keep_columns * 1.0))
        matrix.eliminate_zeros()
        self.matrix = matrix
        self.rows, self.columns = generator.uniform(0.5, 2, M), generator.uniform(0.5, 2, N)
        self.exact = sp.csr_array(sp.diags_array(self.rows) @ matrix @ sp.diags_array(self.columns))
        self.x, self.pull = generator.uniform(0, 2, N), generator.normal(size=M)

    def operator(self, device: torch.device) -> SparseOperator:
        """Lay it out on a device."""
        return SparseOperator.from_scipy(self.matrix, self.rows, self.columns, device)

    def vector(self, values: NDArray[np.float64], device: torch.device) -> torch.Tensor:
        """Give a vector as float32 on a device."""
        return torch.as_tensor(values, dtype=torch.float32).to(device)


def _product(what: str, found: torch.Tensor, matrix: sp.csr_array, by: NDArray[np.float64]) -> str:
    """Compare with a product in float64; rounding is a share of the sum of absolute terms."""
    gap = near(what, found, matrix @ by, FLOAT32 * (abs(matrix) @ np.abs(by)) + 1e-12)
    return f"off by {gap:.1g} at most"


def forward(device: torch.device) -> str:
    """A x."""
    sample = Sample()
    found = sample.operator(device)(sample.vector(sample.x, device))
    is_on(found, device)
    return _product("A x", found, sample.exact, sample.x)


def backward(device: torch.device) -> str:
    """A' g, and the same where the gradient is one number repeated, without memory of its own."""
    sample = Sample()
    operator = sample.operator(device)
    x = sample.vector(sample.x, device).requires_grad_()
    operator(x).backward(sample.vector(sample.pull, device))
    note = _product("A' g", x.grad, sp.csr_array(sample.exact.T), sample.pull)
    x.grad = None
    operator(x).sum().backward()
    _product("A' 1", x.grad, sp.csr_array(sample.exact.T), np.ones(M))
    return note


def cut(device: torch.device) -> str:
    """Some columns, and of these some, both ways."""
    sample = Sample()
    kept = np.flatnonzero(np.arange(N) % 3 == 0)
    again = np.arange(0, len(kept), 2)
    operator = sample.operator(device)
    operator.cut(kept)
    operator.cut(again)
    columns = kept[again]
    exact = sp.csr_array(sample.exact[:, columns])
    x = sample.vector(sample.x[columns], device).requires_grad_()
    estimates = operator(x)
    note = _product("A x", estimates, exact, sample.x[columns])
    estimates.backward(sample.vector(sample.pull, device))
    _product("A' g", x.grad, sp.csr_array(exact.T), sample.pull)
    return note


def looks(device: torch.device) -> None:
    """Shape and empty rows, which come from the host."""
    sample = Sample()
    operator = sample.operator(device)
    assert operator.shape == (M, N)
    assert (operator.empty_rows == (np.diff(sample.matrix.indptr) == 0)).all()


def no_entries(device: torch.device) -> None:
    """A matrix of zeros gives zeros."""
    operator = SparseOperator.from_scipy(sp.csr_array((5, 7)), np.ones(5), np.ones(7), device)
    x = torch.ones(7, device=device, requires_grad=True)
    estimates = operator(x)
    estimates.sum().backward()
    near("A x", estimates, np.zeros(5), 0)
    near("A' g", x.grad, np.zeros(7), 0)


def twice(device: torch.device) -> str:
    """The same product twice; a difference is no error, and worth knowing."""
    sample = Sample()
    operator, x = sample.operator(device), sample.vector(sample.x, device)
    first = operator(x)
    gap = max(float((operator(x) - first).abs().max()) for _ in range(20))
    return "the same to the last bit" if gap == 0 else f"differs by {gap:.1g} from call to call"


def autocast(device: torch.device) -> str:
    """Autocast rounds neither the matrix nor the vector."""
    sample = Sample()
    operator = sample.operator(device)
    for precision in HALVES:
        x = sample.vector(sample.x, device).requires_grad_()
        with torch.autocast(device.type, precision):
            estimates = operator(x)
        assert estimates.dtype == torch.float32, f"A x is {estimates.dtype}"
        note = _product("A x", estimates, sample.exact, sample.x)
        estimates.backward(sample.vector(sample.pull, device))
        _product("A' g", x.grad, sp.csr_array(sample.exact.T), sample.pull)
    return note


def with_default_device(device: torch.device) -> None:
    """`torch.set_default_device` decides nothing here: operators of both devices work."""
    sample = Sample()
    for place in {device, torch.device("cpu")}:
        with default_device(device):
            found = sample.operator(place)(sample.vector(sample.x, place))
        is_on(found, place)
        _product("A x", found, sample.exact, sample.x)


CHECKS: dict[str, Check] = {
    "operator: forward": forward,
    "operator: backward": backward,
    "operator: cut to some columns": cut,
    "operator: shape, empty rows": looks,
    "operator: no entries": no_entries,
    "operator: the same twice": twice,
    "operator: under autocast": autocast,
    "operator: under a default device": with_default_device,
}
