"""Choose the columns from which a small network predicts an outcome best.

The method is ours: a Hadamard gate on each input, a penalty on the gates, and a schedule that
closes inputs one after the other. ``benchmarks/gates.py`` measures how often it finds the columns
behind nonlinear targets: in ten of ten draws for seven of the eight targets in ``docs/gates.md``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from l0.gates.z_scores import weighted_z_scores
from l0.hadamard import HadamardGate
from l0.linear_model.design import Positions

Matrix = NDArray[np.float64]

#: How many networks are trained side by side from different weights, and their hidden units.
STARTS, HIDDEN = 4, 64
#: The number of training steps, and of rows in each step.
STEPS, BATCH = 1_000, 256
#: The learning rate and the weight decay of AdamW.
RATE, DECAY = 5e-3, 0.2
#: The price of a gate in the loss.
PRICE = 0.03
#: The price rises until the share EASED of the steps. From there, until the share CLOSED, inputs
#: are closed.
EASED, CLOSED = 0.3, 0.9
#: This share of the rows is held out to compare the networks, but at most so many rows.
HELD_OUT, MOST_HELD_OUT = 0.2, 5_000
#: Input weights have this many times the usual standard deviation, so that hidden units are not
#: nearly linear at the start.
SPREAD = 2.0


class GatedNetworks(nn.Module):
    r"""Several networks of one hidden layer, with a gate on each input of each network.

    Each network predicts :math:`W_2' \tanh(W_1' (z \odot x) + b_1) + b_2` with Hadamard gates z.

    Parameters
    ----------
    n_inputs, n_outputs : int
    generator : torch.Generator
        Draws the weights at the start.

    Attributes
    ----------
    order : Tensor of int64, shape (STARTS, n_inputs)
        The inputs of each network, the open ones first.
    n_open : int
        How many inputs of each network are open.
    """

    def __init__(self, n_inputs: int, n_outputs: int, generator: torch.Generator) -> None:
        super().__init__()

        # The CPU, where the generator is, whatever `torch.set_default_device` says.
        kind: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}

        def drawn(*shape: int) -> Tensor:
            return torch.randn(STARTS, *shape, generator=generator, **kind)

        self.first = nn.Parameter(drawn(n_inputs, HIDDEN) * SPREAD / math.sqrt(n_inputs))
        self.shift = nn.Parameter(drawn(1, HIDDEN))
        self.last = nn.Parameter(drawn(HIDDEN, n_outputs) / math.sqrt(HIDDEN))
        self.constant = nn.Parameter(torch.zeros(STARTS, 1, n_outputs, **kind))
        self.gates = HadamardGate(STARTS * n_inputs, **kind)
        self.order = torch.arange(n_inputs, device="cpu").expand(STARTS, n_inputs)
        self.n_open = n_inputs

    def gated_weights(self) -> Tensor:
        """Return the weights of the open inputs times their gates, (STARTS, n_open, HIDDEN)."""
        inputs = self.order[:, : self.n_open]
        gates: Tensor = self.gates().view(STARTS, -1).gather(1, inputs)
        return gates[..., None] * self.first.take_along_dim(inputs[..., None], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Predict the outcomes of some rows, (STARTS, rows, n_outputs)."""
        inputs = x[:, self.order[:, : self.n_open]].transpose(0, 1)
        hidden = torch.tanh(inputs @ self.gated_weights() + self.shift)
        predicted: Tensor = hidden @ self.last + self.constant
        return predicted

    @torch.no_grad()
    def keep(self, n_open: int) -> None:
        """Keep the inputs with the largest gated weights open, `n_open` of them, in that order."""
        strongest = self.gated_weights().norm(dim=2).argsort(dim=1, descending=True, stable=True)
        inputs, closed = self.order[:, : self.n_open], self.order[:, self.n_open :]
        self.order = torch.cat([inputs.gather(1, strongest), closed], dim=1)
        self.n_open = n_open


@torch.inference_mode(False)
@torch.enable_grad()
def network_order(x: Matrix, outcome: Matrix, k: int) -> Positions:
    """Train networks, close their inputs until k are open, and rank the inputs of the best one.

    Parameters
    ----------
    x : ndarray of float64, shape (n, p)
        The scale of a column does not matter.
    outcome : ndarray of float64, shape (n, q)
        Predicted in least squares.
    k : int
        From 1 to p.

    Returns
    -------
    ndarray of int64, shape (p,)
        The inputs of the network that predicts the held-out rows best: first its k open inputs by
        the size of their gated weights, then the closed ones, those closed last first.
    """
    n, p = x.shape
    generator = torch.Generator().manual_seed(0)
    z = torch.from_numpy(weighted_z_scores(x, np.ones(n))).float()
    goal = torch.from_numpy(weighted_z_scores(outcome, np.ones(n))).float()
    rows = torch.randperm(n, generator=generator, device="cpu")
    held, used = rows.tensor_split([max(1, min(round(HELD_OUT * n), MOST_HELD_OUT))])
    networks = GatedNetworks(p, goal.shape[1], generator)
    weights = [networks.first, networks.last]
    others = [networks.shift, networks.constant, *networks.gates.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}], RATE
    )
    for step in range(STEPS):
        time = step / STEPS
        closing = min(max(time - EASED, 0.0) / (CLOSED - EASED), 1.0)
        n_open = max(k, round(p ** (1 - closing) * k**closing))
        if n_open < networks.n_open:
            networks.keep(n_open)
        size = min(BATCH, len(used))
        batch = used[torch.randint(len(used), (size,), generator=generator, device="cpu")]
        errors = (networks(z[batch]) - goal[batch]).square().mean(dim=(1, 2))
        price = PRICE * min(time / EASED, 1.0)
        loss = errors.sum() + price * networks.gates.get_penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    networks.keep(k)
    with torch.no_grad():
        errors = (networks(z[held]) - goal[held]).square().mean(dim=(1, 2))
    order: Positions = networks.order[int(errors.argmin())].numpy()
    return order
