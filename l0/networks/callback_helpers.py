"""What the callbacks for Lightning and for Hugging Face share."""

from __future__ import annotations

import torch
from torch import Tensor

from l0.common.errors import InputError
from l0.networks.sparsifier import Sparsifier


def holds_gates(optimizer: torch.optim.Optimizer, sparsifier: Sparsifier) -> bool:
    """Tell whether an optimiser trains the gates.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        An optimiser of the training loop.
    sparsifier : Sparsifier
        The sparsifier with the gates.

    Returns
    -------
    bool

    Raises
    ------
    InputError
        If the gates share a parameter group with other parameters.
    """
    gates = {id(p) for p in sparsifier.gates.parameters()}
    ids = [{id(p) for p in group["params"]} for group in optimizer.param_groups]
    if any(group & gates and group - gates for group in ids):
        raise InputError(
            "`optimizer` trains gates and weights in one parameter group, but gates need larger "
            "steps and no weight decay; make the optimiser from sparsifier.param_groups(lr=...)"
        )
    return any(group & gates for group in ids)


def add_gradient(sparsifier: Sparsifier, scale: Tensor | float = 1.0) -> None:
    """Add the gradient of the penalty to the gradients of the gates.

    Parameters
    ----------
    sparsifier : Sparsifier
        The sparsifier. Its penalty depends only on the gates, so all ranks add the same gradient.
    scale : float
        The factor by which the other gradients are multiplied at this point.
    """
    (scale * sparsifier.penalty()).backward()
