"""A model made, trained for a few steps, and measured: what tests of several rooms need."""

import copy
import warnings

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from l0.networks import Bytes, Macs, Params, Units
from tests.networks.nets import NETS

BUDGETS = [Params(0.4), Macs(0.4), Units(0.5), Bytes(0.4)]


def make(name):
    torch.manual_seed(1)
    model, inputs = (make() for make in NETS[name])
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    return model.double(), inputs


def train(model, inputs, sparsifier, steps, gate_lr=0.02):
    """A few steps towards random targets; returns the losses."""
    generator = torch.Generator().manual_seed(2)
    target = torch.randn(model(inputs).shape, generator=generator, dtype=torch.float64)
    optimizer = torch.optim.Adam(sparsifier.param_groups(lr=1e-3, gate_lr=gate_lr))
    losses = []
    for _ in range(steps):
        loss = (model(inputs) - target).square().mean()
        losses.append(float(loss.detach()))
        (loss + sparsifier.penalty()).backward()
        optimizer.step()
        sparsifier.step()
        optimizer.zero_grad()
    return losses


def measured(small, inputs, measure):
    """What the real object costs, counted independently of the package."""
    if measure == "params":
        return sum(p.numel() for p in small.parameters())
    if measure == "bytes":
        tensors = [*small.parameters(), *small.buffers()]
        return sum(t.numel() * t.element_size() for t in tensors)
    small = copy.deepcopy(small).eval().requires_grad_(False)
    with (
        warnings.catch_warnings(action="ignore"),  # of this flag, about devices that are not there
        torch.backends.mkldnn.flags(enabled=False),  # whose recurrent layers PyTorch does not count
        sdpa_kernel(SDPBackend.MATH),  # nor fused attention
        FlopCounterMode(display=False) as counter,
    ):
        small(inputs)
    return counter.get_total_flops() / 2 / len(inputs)


def clock_of_entries(model, inputs, names):
    """A clock on which each entry of a parameter takes a tenth of a microsecond."""
    found = {name: 0.1 * measured(model.get_submodule(name), inputs, "params") for name in names}
    return {**found, "": 0.1 * measured(model, inputs, "params")}
