"""What stands between the training loop and the gates of a model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from l0.common.errors import InputError
from l0.networks.budgets import Constraint
from l0.networks.closing import Closing
from l0.networks.compact import compacted
from l0.networks.gate_vector import GateVector
from l0.networks.multiplier import Multiplier
from l0.networks.report import Report
from l0.networks.scores import unit_scores
from l0.networks.summary import summarise
from l0.networks.units import Structure

#: The target is eased in over this share of the steps, or over this many where nothing is said.
_RAMP_SHARE, _RAMP = 0.3, 1000

#: From this share of the steps on the budget is met, so that the rest mends what closing broke.
_MET_SHARE = 0.6

_LOOK_BACK = 200


class Sparsifier:
    """The gates of a model, held to a budget; :func:`l0.sparsify` makes one.

    In the loop, add :meth:`penalty` to the loss and call :meth:`step` after the optimiser's step.
    Stochastic gates are drawn anew at each step, one draw for all passes until the next.

    Attributes
    ----------
    model : nn.Module
        With its gates.
    structure : Structure
        The groups of units, and what was left out and why.
    constraints : list of Constraint
        The budgets.
    steps : int
        Number of calls of :meth:`step`.
    gates : GateVector
        The gates of all groups, also one by one.
    history : list of dict
        Fifty times while the budget is eased in, and as often after: the step, and for each
        constraint its cost and multiplier.
    """

    def __init__(
        self,
        model: nn.Module,
        structure: Structure,
        gates: GateVector,
        constraints: list[Constraint],
        example_inputs: Any,
        total_steps: int | None,
    ) -> None:
        self.model = model
        self.example_inputs = example_inputs
        self.structure = structure
        self.constraints = constraints
        self.gates = gates
        self.history: list[dict[str, Any]] = []
        self._ramp = _RAMP if total_steps is None else max(1, round(_RAMP_SHARE * total_steps))
        self._met = None if total_steps is None else max(1, round(_MET_SHARE * total_steps))
        self.multipliers = [Multiplier(c.cost.total, c.limit, self._ramp) for c in constraints]
        self.steps = 0
        #: Gates as they were some hundred steps ago, to see whether they move.
        self.earlier: list[tuple[int, Tensor]] = [(0, gates.settled())]
        self._closing = Closing(model, structure.groups)
        self._prices: Tensor | None = None
        self.gates.draw(0)

    def param_groups(
        self, lr: float, gate_lr: float | None = None, weight_decay: float = 0.0
    ) -> list[dict[str, Any]]:
        """Return the parameters for an optimiser: the model's own, and the gates.

        Parameters
        ----------
        lr : float
            Learning rate of the model's own parameters.
        gate_lr : float, optional
            Learning rate of the gates; twenty times `lr` by default. Gates expect an optimiser that
            normalises gradients, as Adam does.
        weight_decay : float, default 0.0
            Of the model's own parameters. Gates have none.

        Returns
        -------
        list of dict
        """
        gates = self.gates.parameters()
        ids = {id(p) for p in gates}
        own = [p for p in self.model.parameters() if id(p) not in ids]
        return [
            {"params": own, "lr": lr, "weight_decay": weight_decay},
            {"params": gates, "lr": 20 * lr if gate_lr is None else gate_lr, "weight_decay": 0.0},
        ]

    def penalty(self) -> Tensor:
        """Return what to add to the loss: the price of the open units, differentiable.

        Returns
        -------
        Tensor, shape ()
            0 while the target is met.
        """
        return self.gates.penalty(self._prices)

    def step(self) -> None:
        """Follow a step of the optimiser: close what is settled, and set the price of the next.

        After three fifths of `total_steps`, :meth:`finish` closes what the price has not.
        """
        self.steps += 1
        self._close_settled()
        if self.steps == self._met:
            self.finish()
        openness = self.gates.openness()
        prices = torch.zeros_like(openness)
        record: dict[str, Any] = {"step": self.steps}
        for constraint, multiplier in zip(self.constraints, self.multipliers, strict=True):
            cost, marginal = constraint.cost.marginal(openness)
            multiplier.update(cost, self.steps)
            if multiplier.value:
                prices += multiplier.value / constraint.cost.total * marginal
            record[f"{constraint} cost"] = cost
            record[f"{constraint} multiplier"] = multiplier.value
        if self.steps % max(1, self._ramp // 50) == 0:
            self.history.append(record)
        if self.steps % _LOOK_BACK == 0:
            self.earlier = [self.earlier[-1], (self.steps, self.gates.settled())]
        self._prices = prices * self.gates.alive() if prices.any() else None
        self.gates.draw(self.steps)

    @torch.no_grad()
    def finish(self) -> None:
        """Close gates until every budget is met, those first that give least for their cost.

        One unit stays in every group. Evaluation then gives what the compact model gives.
        """
        self.gates.keep(self.planned())

    def planned(self) -> Tensor:
        """Tell which units :meth:`finish` would leave open.

        Returns
        -------
        Tensor of bool, shape (n_units,)
            One group after the other.
        """
        alive, z = self.gates.alive(), self.gates.settled()
        if z.isnan().any():
            raise InputError(
                "the training diverged: gates are NaN, and so is no choice of units; go back to a "
                "checkpoint, and lower the learning rates or clip the gradients"
            )
        closing, scores = self._closing, unit_scores(self.model, self.structure.groups, z)
        alive = closing.used(alive & ((z > 0) | closing.kept(alive, scores)), scores)
        for constraint in self.constraints:
            alive = closing.used(closing.closed(constraint, alive, alive, scores), scores)
        return alive

    def compact(self) -> nn.Module:
        """Return the model without its closed units and without gates.

        Calls :meth:`finish` first, so the gated model loses the same units; it can be trained on.

        Returns
        -------
        nn.Module
            A copy; modules of the same classes, with fewer channels.
        """
        self.finish()
        return compacted(self.model, self.structure.groups, [gate.alive for gate in self.gates])

    def report(self, latency: bool = True) -> Report:
        """Tell what became of the model so far, and what :meth:`compact` would give now.

        Parameters
        ----------
        latency : bool, default True
            Time the full and the compact model on the example inputs, which takes half a second.

        Returns
        -------
        Report
            Prints as text.
        """
        return summarise(self, latency)

    def state_dict(self) -> dict[str, Any]:
        """Return what :meth:`load_state_dict` needs to go on from here; plain tensors and numbers.

        Returns
        -------
        dict
            The gates are saved with the model too.
        """
        return {
            "step": self.steps,
            "gates": self.gates.state(),
            "multipliers": [m.value for m in self.multipliers],
            "prices": self._prices,
            "history": [dict(record) for record in self.history],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of a sparsifier of the same model and budget.

        Parameters
        ----------
        state : dict
            From :meth:`state_dict`.

        Raises
        ------
        InputError
            If it belongs to other gates or budgets.
        """
        if len(state["gates"]) != len(self.gates) or len(state["multipliers"]) != len(
            self.constraints
        ):
            raise InputError(
                "`state` belongs to another model or budget: it has "
                f"{len(state['gates'])} groups of gates and {len(state['multipliers'])} budgets, "
                f"here are {len(self.gates)} and {len(self.constraints)}"
            )
        self.gates.restore(state["gates"])
        for multiplier, saved in zip(self.multipliers, state["multipliers"], strict=True):
            multiplier.value = saved
        self.steps = state["step"]
        prices = state["prices"]
        self._prices = None if prices is None else prices.cpu()  # loaded to some device
        self.history = [dict(record) for record in state["history"]]
        self.gates.draw(self.steps)

    def _close_settled(self) -> None:
        """Close for good what the penalty has closed, as long as a budget asks for it."""
        alive, z = self.gates.alive(), self.gates.settled()
        candidates = alive & (z == 0)
        if not self.gates.settles or not candidates.any():
            return
        for constraint in self.constraints:
            alive = self._closing.closed(constraint, alive, candidates & alive, z)
        self.gates.keep(alive)
