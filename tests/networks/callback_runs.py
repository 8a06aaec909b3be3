"""A run of the plain training loop, which the callbacks of both libraries must repeat."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from l0.networks import Params, sparsify
from tests.networks.nets import mlp

EPOCHS, STEPS, BATCH, PARTS = 2, 24, 8, 2


def data():
    generator = torch.Generator().manual_seed(5)
    n = STEPS * PARTS * BATCH // EPOCHS
    return torch.randn(n, 12, generator=generator), torch.randn(n, 4, generator=generator)


def start(gates, fused=False):
    torch.manual_seed(6)
    model = mlp()
    sparsifier = sparsify(model, torch.randn(2, 12), Params(0.25), gates=gates, total_steps=STEPS)
    groups = sparsifier.param_groups(lr=1e-3, gate_lr=0.05)
    return model, sparsifier, torch.optim.Adam(groups, fused=fused)


def plain(gates):
    """The loop of the documentation, with gradients accumulated over two batches."""
    model, sparsifier, optimizer = start(gates)
    for i, (x, y) in enumerate(EPOCHS * list(DataLoader(TensorDataset(*data()), BATCH))):
        loss = F.mse_loss(model(x), y) / PARTS
        if i % PARTS == 0:
            loss = loss + sparsifier.penalty()
        loss.backward()
        if i % PARTS == PARTS - 1:
            optimizer.step()
            sparsifier.step()
            optimizer.zero_grad()
    return model, sparsifier


def assert_equal_runs(a, b):
    (model_a, a), (model_b, b) = a, b
    assert a.steps == b.steps == STEPS
    assert any(record["parameters multiplier"] > 0 for record in a.history)
    for one, other in zip(a.history, b.history, strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    b_state = model_b.state_dict()
    for key, value in model_a.state_dict().items():
        assert torch.allclose(value, b_state[key], rtol=1e-4, atol=1e-5), key
