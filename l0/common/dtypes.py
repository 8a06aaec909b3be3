"""The precision of computations."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Convert half precision to float32.

    Half precision is too coarse for random noise and for a sum of many probabilities.

    Examples
    --------
    >>> import torch
    >>> from l0.common.dtypes import at_least_float32
    >>> at_least_float32(torch.ones(2, dtype=torch.float16)).dtype
    torch.float32
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Make a context that computes in the precision of the tensors, also within autocast."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()  # ten times as fast as autocast, which counts for a small product


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Make a context without autocast, and without TF32 on GPUs; it changes global switches."""
    has_switches_for_each_operation = hasattr(torch.backends.cudnn, "conv")  # torch 2.9 on
    with (
        without_autocast(device),
        _without_tf32() if has_switches_for_each_operation else _without_tf32_before_2_9(),
    ):
        yield


@contextmanager
def _without_tf32() -> Iterator[None]:
    cudnn: Any = torch.backends.cudnn
    # A switch with the value "none" has the value of its parent. Parents come first: once they are
    # "none", the next ones return their own values, which can then be restored.
    switches: list[Any] = [torch.backends, cudnn]
    switches += [cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul]
    allowed = _older_switch_is_on()
    said: list[str] = []
    try:
        for switch in switches:
            said.append(switch.fp32_precision)
            switch.fp32_precision = "none"
        if allowed:
            # If it differs from the switches above, torch.backends.cudnn.flags() raises an error,
            # and the code of a model may call that function.
            cudnn.allow_tf32 = False
        yield
    finally:
        if allowed:
            cudnn.allow_tf32 = True
        for switch, before in zip(switches, said, strict=False):
            switch.fp32_precision = before


def _older_switch_is_on() -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions of torch say that it is deprecated
        try:
            return bool(torch.backends.cudnn.allow_tf32)
        except RuntimeError:  # only the newer switches were set
            return False


@contextmanager
def _without_tf32_before_2_9() -> Iterator[None]:
    cudnn = torch.backends.cudnn
    allowed, products = cudnn.allow_tf32, torch.get_float32_matmul_precision()
    try:
        cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
        yield
    finally:
        cudnn.allow_tf32 = allowed
        torch.set_float32_matmul_precision(products)
