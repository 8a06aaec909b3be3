"""How precisely things are computed."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Widen half precision, which resolves neither noise nor a sum of many probabilities."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
