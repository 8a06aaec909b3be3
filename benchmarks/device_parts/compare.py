"""Numbers of a device beside those they must agree with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

#: Does something on a device, raises where it is wrong, and gives a remark or nothing.
Check = Callable[[torch.device], str | None]
#: Relative rounding that two orders of summation in float32 may differ by.
FLOAT32 = 1e-5
#: The same where convolutions and products may round their factors to ten bits (TF32).
TF32 = 5e-3
HALVES = (torch.float16, torch.bfloat16)
#: Relative rounding of bfloat16 through a few layers.
HALF = 5e-2


def numbers(values: Tensor | ArrayLike) -> NDArray[np.float64]:
    """Bring numbers of any kind to the host, in float64."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)


def near(
    what: str, found: Tensor | ArrayLike, expected: Tensor | ArrayLike, tolerance: ArrayLike
) -> float:
    """Insist that numbers agree within a tolerance, and give the largest difference."""
    one, other = numbers(found), numbers(expected)
    assert one.shape == other.shape, f"{what} has the shape {one.shape} instead of {other.shape}"
    gap = np.abs(one - other)
    beyond = ~(gap <= tolerance)  # NaN is beyond
    largest = float(gap.max(initial=0.0))
    assert not beyond.any(), (
        f"{what} is off by {largest:.3g} ({beyond.sum()} of {gap.size} numbers)"
    )
    return largest


def near_relative(what: str, found: Any, expected: Any, tolerance: float) -> float:
    """Insist that numbers agree within a share of the largest of them."""
    return near(what, found, expected, tolerance * np.abs(numbers(expected)).max(initial=1e-30))


def on(device: torch.device, module: nn.Module) -> nn.Module:
    """Copy a module to a device."""
    return deepcopy(module).to(device)


def is_on(tensor: Tensor, device: torch.device) -> None:
    """Insist that a tensor lives on the kind of device."""
    assert tensor.device.type == device.type, f"it is on {tensor.device}, not on {device.type}"


def gradients(module: nn.Module) -> dict[str, Tensor]:
    """Give the gradients of a module, each of which must be there and finite."""
    found = {}
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, f"`{name}` has no gradient"
        assert parameter.grad.isfinite().all(), f"the gradient of `{name}` is not finite"
        found[name] = parameter.grad
    return found


@contextmanager
def global_generators_untouched() -> Iterator[None]:
    """Insist that nothing draws from torch's global generators, on any device, or from numpy's."""

    def states() -> list[Any]:
        found = [torch.get_rng_state(), torch.tensor(np.random.get_state()[1].astype(np.int64))]  # noqa: NPY002
        return found + (torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])

    before = states()
    yield
    for number, (one, other) in enumerate(zip(before, states(), strict=True)):
        name = ["the CPU's", "numpy's"][number] if number < 2 else "the device's"
        assert torch.equal(one, other), f"{name} global generator has moved"


@contextmanager
def default_device(device: torch.device) -> Iterator[None]:
    """Let torch make new tensors on a device, as `torch.set_default_device` does."""
    with torch.device(device):
        yield
