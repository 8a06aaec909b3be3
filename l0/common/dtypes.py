"""The precision of computations."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

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
