"""Layers with gates on their weights: against the CPU, backward, and mixed precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

import l0
from device_parts.compare import HALF, HALVES, TF32, Check, gradients, is_on, near_relative, on


class Case(NamedTuple):
    """A layer, and the shape of what it is given."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]


CASES = {
    "L0Linear": Case(lambda: l0.L0Linear(40, 24, use_l2=True), (8, 40)),
    "L0Conv2d": Case(lambda: l0.L0Conv2d(6, 10, 3, padding=1, use_l2=True), (4, 6, 9, 9)),
    "L0Conv2d, structured": Case(
        lambda: l0.L0Conv2d(6, 10, 3, stride=2, structured=True), (4, 6, 9, 9)
    ),
    "L0DepthwiseConv2d": Case(lambda: l0.L0DepthwiseConv2d(6, 3, padding="same"), (4, 6, 9, 9)),
    "SparseMLP": Case(lambda: l0.SparseMLP(49, 32, 10, use_l2=True), (8, 1, 7, 7)),
}


def _made(case: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    layer = CASES[case].make()
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.endswith("qz_logits"):
                parameter.normal_(1.0)
    return layer, torch.randn(CASES[case].shape)


def evaluation(device: torch.device, case: str) -> str:
    """Outputs and gradients with median gates are those of the CPU."""
    layer, x = _made(case)
    there = on(device, layer).eval()
    layer.eval()
    found, expected = there(x.to(device)), layer(x)
    is_on(found, device)
    gap = near_relative("the output", found, expected, TF32)
    for module, out in ((layer, expected), (there, found)):
        (out.square().mean() + 1e-3 * l0.compute_l0l2_penalty(module)).backward()
    others = gradients(there)
    for name, gradient in gradients(layer).items():
        near_relative(f"the gradient of `{name}`", others[name], gradient, 2 * TF32)
    return f"off by {gap:.1g} at most"


def training(device: torch.device, case: str) -> None:
    """Sampled gates: a step of a fused Adam lowers nothing to NaN, and penalties are there."""
    layer, x = _made(case)
    layer = on(device, layer)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.01, fused=True)
    for _ in range(3):
        optimizer.zero_grad()
        (layer(x.to(device)).square().mean() + 1e-3 * l0.compute_l0_penalty(layer)).backward()
        gradients(layer)
        optimizer.step()
    for parameter in layer.parameters():
        assert parameter.isfinite().all()


def autocast(device: torch.device, case: str, precision: torch.dtype) -> str:
    """Under autocast the output is in half precision, near the full one; gradients are float32."""
    layer, x = _made(case)
    layer, x = on(device, layer), x.to(device)
    with torch.autocast(device.type, precision):
        out = layer.eval()(x)
    assert out.dtype == precision, f"the output is {out.dtype}"
    gap = near_relative("the output", out, layer(x), HALF)
    # The default scale is found too large for some first step, which is then skipped.
    scaler = torch.amp.GradScaler(device.type, init_scale=256.0, enabled=precision == torch.float16)
    optimizer = torch.optim.Adam(layer.train().parameters(), lr=0.01)
    with torch.autocast(device.type, precision):
        loss = layer(x).float().square().mean() + 1e-3 * l0.compute_l0_penalty(layer)
    scaler.scale(loss).backward()
    for name, gradient in gradients(layer).items():
        assert gradient.dtype == torch.float32, f"the gradient of `{name}` is {gradient.dtype}"
    scaler.step(optimizer)
    scaler.update()
    return f"off by {gap:.1g} at most"


CHECKS: dict[str, Check] = {
    **{f"{case}: evaluation": partial(evaluation, case=case) for case in CASES},
    **{f"{case}: training": partial(training, case=case) for case in CASES},
    **{
        f"{case}: autocast, {str(precision).removeprefix('torch.')}": partial(
            autocast, case=case, precision=precision
        )
        for case in CASES
        for precision in HALVES
    },
}
