"""A sparsifier in a training loop that somebody else runs; what the callbacks share."""

from __future__ import annotations

import torch
from torch import Tensor

from l0.common.errors import InputError
from l0.networks.sparsifier import Sparsifier


def holds_gates(optimizer: torch.optim.Optimizer, sparsifier: Sparsifier) -> bool:
    """Tell whether an optimiser trains the gates, in a group of parameters of their own.

    Raises
    ------
    InputError
        If the gates share a group with other parameters.
    """
    gates = {id(p) for p in sparsifier.gates.parameters()}
    ids = [{id(p) for p in group["params"]} for group in optimizer.param_groups]
    if any(group & gates and group - gates for group in ids):
        raise InputError(
            "`optimizer` trains gates and weights alike, but gates need larger steps and no weight "
            "decay; make it of sparsifier.param_groups(lr=...)"
        )
    return any(group & gates for group in ids)


def add_gradient(sparsifier: Sparsifier, scale: Tensor | float = 1.0) -> None:
    """Add the gradient of the penalty to what the gates have already.

    Parameters
    ----------
    sparsifier : Sparsifier
        Its penalty depends on the gates alone, so that all ranks get the same.
    scale : float
        What the other gradients are multiplied by at this point.
    """
    penalty = sparsifier.penalty()
    if penalty.requires_grad:  # it is a constant 0 while the target is met
        (scale * penalty).backward()
