"""One step of training, with gates or without."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from l0.networks import Sparsifier


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    sparsifier: Sparsifier | None = None,
) -> None:
    """Follow the gradient of the cross entropy, and of the price of open units if any."""
    loss = F.cross_entropy(model(x), y)
    if sparsifier:
        loss = loss + sparsifier.penalty()
    loss.backward()
    optimizer.step()
    if sparsifier:
        sparsifier.step()
    optimizer.zero_grad()
