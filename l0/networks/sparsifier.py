"""The sparsifier: what a training loop calls to hold a model to its budgets."""

from __future__ import annotations

import warnings
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from l0.common.errors import InputError
from l0.common.formatting import amount, counted
from l0.networks.budgets.budgets import Constraint
from l0.networks.budgets.multiplier import Multiplier
from l0.networks.budgets.ramp import Ramp
from l0.networks.gates.gate_vector import GateVector, Reading
from l0.networks.gates.gating import settle
from l0.networks.graph.tensors import mode_of, moved
from l0.networks.graph.units import Structure
from l0.networks.pruning.activity import Activity, read_axes
from l0.networks.pruning.closing import Closing
from l0.networks.pruning.compact import compacted
from l0.networks.pruning.rounding import Rounding
from l0.networks.pruning.scores import unit_scores
from l0.networks.pruning.trials import disagreement
from l0.networks.report.build import TrainingState, build_report
from l0.networks.report.report import Report

#: A gate that exceeds this value pays a price too, so that no gate runs away.
_LARGE = 4.0

#: Steps between two looks at the gates, by which the report sees whether they move.
_LOOK_BACK = 200


class Sparsifier:
    """The gates of a model and the budgets that they are trained to meet.

    :func:`l0.sparsify` makes it. In the training loop, add :meth:`penalty` to the loss, and call
    :meth:`step` after each step of the optimiser. Stochastic gates draw new noise at each step;
    all passes until the next step use the same draw.

    Attributes
    ----------
    model : nn.Module
        The model with its gates.
    structure : Structure
        The groups of units, and the channels that were left out, with the reasons.
    constraints : list of Constraint
        The budgets.
    steps : int
        The number of calls of :meth:`step`.
    gates : GateVector
        The gates of all groups; its items are the gates of one group.
    history : list of dict
        The step, and the cost and the multiplier of each constraint. There are about a
        hundred records while the budget is eased in, and records at the same distance after that.

    Examples
    --------
    >>> import torch
    >>> import l0
    >>> from torch import nn
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
    >>> x = torch.randn(64, 8)
    >>> y = x[:, :2].sum(1, keepdim=True)
    >>> sparsifier = l0.sparsify(model, x[:2], l0.Units(4), total_steps=100)
    >>> optimizer = torch.optim.Adam(sparsifier.param_groups(lr=1e-3))
    >>> for _ in range(100):
    ...     loss = nn.functional.mse_loss(model(x), y) + sparsifier.penalty()
    ...     loss.backward()
    ...     optimizer.step()
    ...     sparsifier.step()
    ...     optimizer.zero_grad()
    >>> print(sparsifier)
    Sparsifier of Sequential after 100 steps
      budget: at most 4 units of 16, now 4 at the price 0
      units: 4 of 16 open, in 1 group on 2 layers
      no gates on: 2
    >>> sparsifier.compact()
    Sequential(
      (0): Linear(in_features=8, out_features=4, bias=True)
      (1): ReLU()
      (2): Linear(in_features=4, out_features=1, bias=True)
    )
    """

    def __init__(
        self,
        model: nn.Module,
        structure: Structure,
        gates: GateVector,
        constraints: list[Constraint],
        example_inputs: Any,
        total_steps: int | None,
        rounding: Rounding,
    ) -> None:
        self.model = model
        self.example_inputs = example_inputs
        self._first_device = next(model.parameters()).device
        self.structure = structure
        self.constraints = constraints
        self.gates = gates
        self.history: list[dict[str, Any]] = []
        self._ramp = Ramp(total_steps)
        self.multipliers = [Multiplier() for _ in constraints]
        self.steps = 0
        # The last two looks at the gates.
        self._looks = [self._look()]
        self._closing = Closing(model, structure.groups)
        self._rounding = rounding
        self._prices: Tensor | None = None
        self._pays = torch.full_like(gates.alive(), not gates.spares)
        self._activity: Activity | None = None
        self.gates.draw(0)

    def __repr__(self) -> str:
        """Describe the budgets with their prices, and the units and layers, in a few lines."""
        openness, groups = self.gates.openness(), self.structure.groups
        lines = [f"Sparsifier of {type(self.model).__name__} after {counted(self.steps, 'step')}"]
        lines += [
            f"  budget: at most {constraint.limit:,} {constraint} of {constraint.cost.total:,}, "
            f"now {amount(float(constraint.cost(openness)))} at the price {amount(price.value)}"
            for constraint, price in zip(self.constraints, self.multipliers, strict=True)
        ]
        n_open = int((self.gates.settled() > 0).sum())
        lines.append(
            f"  units: {n_open:,} of {len(openness):,} open, in {counted(len(groups), 'group')} "
            f"on {counted(len(self.structure.layers), 'layer')}"
        )
        names = [left.name for left in self.structure.left_out]
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            lines.append(f"  no gates on: {'; '.join(names[:3])}{more}")
        return "\n".join(lines)

    def param_groups(
        self, lr: float, gate_lr: float | None = None, weight_decay: float = 0.0
    ) -> list[dict[str, Any]]:
        """Return the parameters for an optimiser: a group of weights and a group of gates.

        Parameters
        ----------
        lr : float
            Learning rate of the model's own parameters.
        gate_lr : float, optional
            Learning rate of the gates; twenty times `lr` by default. The gates need an optimiser
            that normalises gradients, such as Adam.
        weight_decay : float, default 0.0
            Weight decay of the model's own parameters. The gates have none.

        Returns
        -------
        list of dict

        Examples
        --------
        >>> import torch
        >>> import l0
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Linear(6, 2))
        >>> sparsifier = l0.sparsify(model, torch.zeros(2, 8), l0.Units(3))
        >>> [group["lr"] for group in sparsifier.param_groups(lr=0.01)]
        [0.01, 0.2]
        """
        gates = self.gates.parameters()
        ids = {id(p) for p in gates}
        own = [p for p in self.model.parameters() if id(p) not in ids]
        return [
            {"params": own, "lr": lr, "weight_decay": weight_decay},
            {"params": gates, "lr": 20 * lr if gate_lr is None else gate_lr, "weight_decay": 0.0},
        ]

    def penalty(self) -> Tensor:
        """Return the price of the open units, differentiable; add it to the loss.

        Returns
        -------
        Tensor, shape ()
            0 while the model costs no more than the target of this step.
        """
        return self.gates.penalty(self._prices)

    def observe(self, batch: Any) -> None:
        """Let the next cut know how active each unit is on a batch; for a cut without training.

        A unit counts for what it adds to the layers that read it: its weights in them, times its
        activity. A few batches of the training data suffice, without labels. The model runs in
        evaluation mode and stays as it is. With the first :meth:`step`, the activities are
        forgotten.

        Parameters
        ----------
        batch : Tensor, sequence or mapping
            Inputs of the model, in the form of the example inputs.

        Raises
        ------
        InputError
            After a step or a cut, for gates on single weights, if the batch does not run, and if a
            layer reads values that are not finite.

        Examples
        --------
        >>> import torch
        >>> import l0
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Linear(6, 2))
        >>> sparsifier = l0.sparsify(model, torch.zeros(2, 8), l0.Units(3))
        >>> for _ in range(4):
        ...     sparsifier.observe(torch.randn(64, 8))
        >>> sparsifier.compact()[0].out_features
        3
        """
        groups = self.structure.groups
        if self.steps or not self._learn:
            raise InputError(
                "`observe` is for a cut without training, before `step`, `finish` and `compact`; "
                "call it right after `sparsify`"
            )
        if any(group.weights is not None for group in groups):
            raise InputError(
                "`observe` scores units, and this model has gates on single weights; leave it "
                "out, or give `sparsify` granularity='unit'"
            )
        if self._activity is None:
            self._activity = Activity(self.model, read_axes(self.model, groups))
        self._activity.observe(batch)

    def step(self) -> None:
        """Follow a step of the optimiser: choose the units that stay, and set the next price.

        With Hadamard gates, units are closed, and may come back, at some fifty points on the way
        to the budget. Stochastic gates close by themselves; the rest is closed by :meth:`finish`.

        :meth:`finish` is called after three fifths of `total_steps`, or after 300 steps if
        `total_steps` was not given.
        """
        self.steps += 1
        self._activity = None  # the weights have changed
        now = self.gates.read()
        if now.learn and self._closes_units():
            now = self.gates.read()
        self._prices = self._priced(now)
        if self.steps % _LOOK_BACK == 0:
            self._looks = [self._looks[-1], self._look()]
        self.gates.draw(self.steps)

    def _closes_units(self) -> bool:
        """Close units if it is time to, and tell whether it was."""
        if self.steps >= self._ramp.met:
            self.finish()
            return True
        if looks := self._ramp.looks(self.steps):
            self._choose()
        return looks

    def _priced(self, now: Reading) -> Tensor | None:
        """Update the multipliers, and return the prices of the units; None if all are 0."""
        prices = torch.zeros_like(now.openness)
        record: dict[str, Any] = {"step": self.steps}
        asked, pace = self._ramp.asked(self.steps), self._ramp.pace(self.steps)
        for constraint, multiplier in zip(self.constraints, self.multipliers, strict=True):
            cost, marginal = constraint.cost.marginal(now.openness)
            if now.learn:
                multiplier.update(cost, constraint.target(asked), pace)
            else:  # also of a budget that is missed: no price would change a gate
                multiplier.value = 0.0
            if multiplier.value:
                prices += multiplier.value / constraint.cost.total * marginal
            record[f"{constraint} cost"] = cost
            record[f"{constraint} multiplier"] = multiplier.value
        if self.steps % max(1, self._ramp.met // 100) == 0:
            self.history.append(record)
        prices *= self._pays * now.alive
        return prices if prices.any() else None

    @torch.no_grad()
    def _choose(self) -> None:
        """Choose the units that are open at present, and those that pay a price."""
        z = self.gates.ranks()
        if not self.gates.spares or not z.isfinite().all():
            return
        scores = unit_scores(self.model, self.structure.groups, z)
        if scores.isnan().any():
            return
        everything = torch.ones_like(z, dtype=torch.bool)
        kept = self._within(everything, scores, self._ramp.kept(self.steps))
        asked = self._within(kept, scores, self._ramp.asked(self.steps))
        self.gates.keep(kept)
        pays = ~asked | (z > _LARGE)
        self._pays = torch.where(pays, 1.0, self._ramp.others_pay).double()

    def _within(self, alive: Tensor, scores: Tensor, way: float) -> Tensor:
        """Return the units that stay at some point between the full model and the budgets."""
        for constraint in self.constraints:
            limit = constraint.target(way)
            alive = self._closing.remaining(constraint, alive, scores, limit)
        return alive

    @torch.no_grad()
    def finish(self) -> None:
        """Close units until every budget is met, those with the least score per cost first.

        Closed units that still fit are opened again. One unit stays in every group. From here on,
        only the weights of the open units learn: the values of the gates are multiplied into the
        weights or, in trainings of 8,000 steps and more, stay as they are if they are at least 0.1.
        In between, a part of them is multiplied in. After this call, the gated model in evaluation
        mode gives the same outputs as the compact model.

        Warns
        -----
        UserWarning
            If a budget is missed, because a unit stays in every group.
        """
        if self._is_finished:
            return
        self.gates.keep(self.planned())
        settle(self.model, self.structure.groups, list(self.gates), self._ramp.left)
        self._prices, self._pays = None, torch.zeros_like(self._pays)
        for constraint in self._missed(self.gates.alive()):
            left = float(constraint.cost(self.gates.alive()))
            warnings.warn(
                f"{left:,.0f} {constraint} are left, and the budget asks for at most "
                f"{constraint.limit:,}: a unit stays in each group, and each layer reads one; ask "
                "for more, or select features before fewer layers",
                stacklevel=3,  # the decorator is in between
            )

    @property
    def _learn(self) -> bool:
        """Whether the gates still learn. Those of an older state of the model may do so again."""
        return self.gates.learn

    @property
    def _is_finished(self) -> bool:
        """Whether units were closed for good; those of another state may be too many."""
        return not self._learn and not self._missed(self.gates.alive())

    def _missed(self, alive: Tensor) -> list[Constraint]:
        """Return the budgets that some open units do not meet."""
        return [one for one in self.constraints if not one.holds(float(one.cost(alive)))]

    def planned(self) -> Tensor:
        """Tell which units :meth:`finish` would leave open.

        Returns
        -------
        Tensor of bool, shape (n_units,)
            The units of all groups, one group after the other.

        Raises
        ------
        InputError
            If gates or weights are NaN.
        """
        z = self.gates.ranks()
        if z.isnan().any():
            raise _diverged("gates")
        if self._is_finished:
            return self.gates.alive()
        activity = None if self._activity is None else self._activity.mean_squares()
        scores = unit_scores(self.model, self.structure.groups, z, activity)
        if scores.isnan().any():
            raise _diverged("weights")
        alive = self._chosen(self._closing, z > 0, scores)
        if self._missed(alive):
            closing = Closing(self.model, self.structure.groups, in_common=True)
            alive = self._chosen(closing, z > 0, scores)
        return alive

    def _chosen(self, closing: Closing, able: Tensor, scores: Tensor) -> Tensor:
        """Choose the units that stay, so that every budget is met if it can be."""
        alive = closing.used(able | closing.protected(torch.ones_like(able), scores), scores)
        for constraint in self.constraints:
            alive = closing.used(
                closing.remaining(constraint, alive, scores, constraint.limit), scores
            )
        alive = closing.refilled(self.constraints, alive, able, scores)
        return self._rounding.rounded(self.constraints, alive, scores)

    def compact(self) -> nn.Module:
        """Return a copy of the model without closed units and without gates.

        Calls :meth:`finish` first, so the gated model loses the same units. Both models can be
        trained further. Without any step before, this is magnitude pruning.

        Returns
        -------
        nn.Module
            Modules of the same classes with fewer channels.

        Warns
        -----
        UserWarning
            If a training was too short to meet the budgets, so that open units are closed at a
            stroke. If a budget is missed, because a unit stays in every group. If the outputs of
            the two models differ on the example inputs, or one of them does not run, so that
            nothing speaks for the compact model.
        """
        before = self.gates.settled() > 0
        self.finish()
        at_a_stroke = int((before & ~self.gates.alive()).sum())
        if self.steps and at_a_stroke:
            warnings.warn(
                f"`compact` closed {counted(at_a_stroke, 'open unit')} of {int(before.sum()):,} "
                f"at a stroke after {counted(self.steps, 'step')}, and no training has repaired "
                f"this; the budget is met by itself after {counted(self._ramp.met, 'step')}: "
                "give `sparsify` the `total_steps` of the training, train for longer, or call "
                "`finish` and train on",
                stacklevel=2,
            )
        keep = [gate.alive for gate in self.gates]
        with mode_of(self.model):
            small = compacted(self.model, self.structure.groups, keep)
        doubt = disagreement(self.model, small, self._inputs())
        if doubt is not None:
            warnings.warn(
                f"`compact` cannot vouch for the compact model: on the example inputs, {doubt}. "
                "Compare it with the gated model before you use it, or exclude layers from the "
                "gates",
                stacklevel=2,
            )
        return small

    def _inputs(self) -> Any:
        """Return the example inputs on the device of the model, to which a trainer may move it."""
        device = next(self.model.parameters()).device
        inputs = self.example_inputs
        return inputs if device == self._first_device else moved(inputs, device)

    def report(self, latency: bool = True) -> Report:
        """Report what the model costs now, and what :meth:`compact` would give now.

        Parameters
        ----------
        latency : bool, default True
            Whether to measure the time of the full and of the compact model on the example
            inputs. This takes half a second.

        Returns
        -------
        Report
            `print` shows it as text.
        """
        state = TrainingState(
            model=self.model,
            example_inputs=self._inputs(),
            structure=self.structure,
            gates=self.gates,
            constraints=self.constraints,
            multipliers=self.multipliers,
            planned=self.planned(),
            steps=self.steps,
            history=self.history,
            earlier=self._looks[0],
        )
        return build_report(state, latency)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint: what :meth:`load_state_dict` takes.

        Returns
        -------
        dict
            Tensors, numbers, lists and dicts. The gates are part of the model's state too.

        Examples
        --------
        >>> import torch
        >>> import l0
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Linear(6, 2))
        >>> sparsifier = l0.sparsify(model, torch.zeros(2, 8), l0.Units(3))
        >>> sparsifier.step()
        >>> list(sparsifier.state_dict())
        ['step', 'budgets', 'gates', 'multipliers', 'prices', 'pays', 'history', 'looks']
        """
        return {
            "step": self.steps,
            "budgets": [
                f"{type(one.budget).__name__}({float(one.budget.amount):.12g}) of "
                f"{one.pattern or 'all layers'}"
                for one in self.constraints
            ],
            "gates": self.gates.state(),
            "multipliers": [m.value for m in self.multipliers],
            "prices": self._prices,
            "pays": self._pays,
            "history": [dict(record) for record in self.history],
            "looks": list(self._looks),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a sparsifier of the same model and the same budgets.

        Parameters
        ----------
        state : dict
            What :meth:`state_dict` returned.

        Raises
        ------
        InputError
            If the state belongs to other gates or other budgets.
        """
        own = self.state_dict()
        if not isinstance(state, dict) or own.keys() - state.keys():
            raise InputError("`state` is no state of a sparsifier; give what `state_dict` returned")
        pairs = zip_longest(_described(state), _described(own), fillvalue="nothing")
        if different := [f"{there} in place of {here}" for there, here in pairs if there != here]:
            raise InputError(
                f"`state` belongs to another model or budget: it has {'; '.join(different[:5])}; "
                "give the state of a sparsifier that was made with the same arguments"
            )
        self.gates.restore(state["gates"])
        for multiplier, saved in zip(self.multipliers, state["multipliers"], strict=True):
            multiplier.value = saved
        self.steps = state["step"]
        # A checkpoint may be on a GPU.
        prices = state["prices"]
        self._prices = None if prices is None else prices.cpu()
        self._pays = state["pays"].cpu()
        self.history = [dict(record) for record in state["history"]]
        self._looks = [(step, z.cpu()) for step, z in state["looks"]]
        self.gates.draw(self.steps)

    def _look(self) -> tuple[int, Tensor]:
        """Return the step and the gate values, which are kept in the precision of most gates."""
        return self.steps, self.gates.ranks().float()


def _diverged(what: str) -> InputError:
    return InputError(
        f"the training diverged: {what} are not finite, so no units can be chosen; return to a "
        "checkpoint, and lower the learning rates or clip the gradients"
    )


def _described(state: dict[str, Any]) -> list[str]:
    """Name the budgets of a state and the gates of each group."""
    gates = [f"{len(one['alive'])} gates of {', '.join(one)}" for one in state["gates"]]
    return [*state["budgets"], *gates]
