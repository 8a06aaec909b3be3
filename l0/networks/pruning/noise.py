"""Noise for a trial: inputs and weights that hide nothing, and random draws that repeat."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from l0.networks.graph.tensors import is_inexact, is_sparse, mapped

_SEED = 0


def noisy_inputs(example_inputs: Any) -> Any:
    """Add noise to the floating-point inputs; integers stay as they are.

    Masks, whose entries are 0 and 1 or not finite, and sparse tensors stay as they are.
    """
    generator = torch.Generator().manual_seed(_SEED)

    def noisy(x: Tensor) -> Tensor:
        if not x.numel() or not is_inexact(x) or is_sparse(x):
            return x
        is_mask = (
            bool((x == 0).any()) and bool((x == 1).any()) and bool(((x == 0) | (x == 1)).all())
        )
        if is_mask or bool((x.abs() > 1e4).any()) or not bool(x.isfinite().all()):
            return x
        scale = float(x.abs().double().square().mean().sqrt()) or 1.0
        return x + scale * _normal(x, generator)

    return mapped(noisy, example_inputs)


def add_noise(model: nn.Module) -> None:
    """Add noise to the parameters of a model and to the means of batch norms, in place.

    A layer whose weights start at 0, or whose output is scaled by a small number, would otherwise
    hide a mistake before it.
    """
    generator = torch.Generator().manual_seed(_SEED)
    with torch.no_grad():
        for p in model.parameters():
            if is_inexact(p) and p.numel():
                scale = 0.1
                if p.ndim > 1:
                    size = _size(p)
                    scale = size / 2 if size > 1e-3 else (p.shape[0] / p.numel()) ** 0.5
                p.add_(_normal(p, generator), alpha=scale)
        for module in model.modules():
            if isinstance(module, _BatchNorm) and module.running_mean is not None:
                mean = module.running_mean
                mean.add_(0.1 * _normal(mean, generator))


def _size(x: Tensor) -> float:
    """Return the root of the mean square of the finite entries, with 0 for all others."""
    rows = torch.linalg.vector_norm(x.flatten(1), dim=1)
    norm = float(torch.linalg.vector_norm(rows))
    if not math.isfinite(norm):  # entries, or their squares, as in a mask that is a parameter
        wide = torch.promote_types(x.dtype, torch.float64)
        norm = float(torch.linalg.vector_norm(x[x.isfinite()], dtype=wide))
    return norm / float(x.numel() ** 0.5)


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.randn(like.shape, generator=generator, device="cpu", dtype=torch.float32)
    return drawn.to(like.device, like.dtype)
