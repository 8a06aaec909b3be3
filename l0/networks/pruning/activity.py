"""How active the inputs of layers are, on batches of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from l0.common.errors import InputError
from l0.networks.graph.layer_types import module_at
from l0.networks.graph.tensors import call, copies_of
from l0.networks.graph.units import UnitGroup


class Activity:
    """The mean squares of what each channel of some layers reads, over all batches so far.

    Parameters
    ----------
    model : nn.Module
        With or without gates.
    axes : mapping of str to int
        Layers by name, and the axis of the channels in what each reads.
    """

    def __init__(self, model: nn.Module, axes: Mapping[str, int]) -> None:
        self._model = model
        self._axes = dict(axes)
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    @torch.no_grad()
    def observe(self, batch: Any) -> None:
        """Run the model in evaluation mode on a batch, and add what its layers read.

        Parameters
        ----------
        batch : Tensor, sequence or mapping
            Inputs of the model.

        Raises
        ------
        InputError
            If the batch does not run through the model, or if a layer reads values that are not
            finite; the batch then does not count.
        """
        found: list[tuple[str, Tensor, int]] = []

        def watch(name: str, axis: int) -> Any:
            def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
                x = next(v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)).detach()
                x = x.movedim(axis, 0).flatten(1).abs().double()
                found.append((name, x.square().sum(1).cpu(), x.shape[1]))

            module = module_at(self._model, name)
            return module.register_forward_pre_hook(hook, with_kwargs=True)

        training = {module: module.training for module in self._model.modules()}
        hooks = [watch(name, axis) for name, axis in self._axes.items()]
        try:
            call(self._model.eval(), copies_of(batch))
        except Exception as error:  # the code of a user may raise anything
            raise InputError(
                f"`batch` does not run through the model: {type(error).__name__}: {error}; give it "
                "in the form of the example inputs, on the device of the model"
            ) from error
        finally:
            for hook in hooks:
                hook.remove()
            for module, mode in training.items():
                module.training = mode
        for name, total, _ in found:
            if not total.isfinite().all():
                raise InputError(
                    f"`batch` makes {name} read values that are infinite or NaN; give a batch of "
                    "the data that the model was trained on"
                )
        for name, total, count in found:
            self._sums[name] = self._sums.get(name, torch.zeros_like(total)) + total
            self._counts[name] = self._counts.get(name, 0) + count

    def mean_squares(self) -> dict[str, Tensor]:
        """Return the mean square of each channel, for each layer that was called."""
        return {name: total / max(self._counts[name], 1) for name, total in self._sums.items()}


def read_axes(model: nn.Module, groups: Sequence[UnitGroup]) -> dict[str, int]:
    """Return the layers that read units in their input, and the axis of the channels there."""
    found = {}
    for member in (member for group in groups for member in group.consumers):
        layout = member.layer_type.layout(module_at(model, member.module))
        if layout is not None and member.side == "in":
            found[member.module] = layout.axis_in
    return found
