"""Trials on copies of a model, whether removing units equals closing their gates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from l0.common.dtypes import full_precision
from l0.common.errors import InputError
from l0.networks.gates.families import new_gates
from l0.networks.gates.gating import attach
from l0.networks.graph.draws import alike_draws
from l0.networks.graph.tensors import (
    at_least_half,
    call,
    copies_of,
    copy_of,
    devices_of,
    is_inexact,
    mapped,
    results_in,
)
from l0.networks.graph.units import UnitGroup
from l0.networks.pruning.compact import cut, folded
from l0.networks.pruning.noise import add_noise, noisy_inputs

#: Trials with another share of units in each group. They come before one trial with a single unit
#: of each group, and one with all units but one.
_N_UNEQUAL = 8

#: An output that closing units changes by less than this share of its size may be masked.
_CHANGED = 1e-3

#: What a trial answers if the outputs differ.
DIFFERENT = "removing some of them changes the output: it depends on their order or number"


@dataclass(frozen=True)
class _Setting:
    """A model of full size and its inputs, in evaluation or in training mode.

    Once it is tried, `whole` has the outputs of the model of full size.
    """

    model: nn.Module
    inputs: Any
    training: bool
    dtype: torch.dtype
    share_parameters: bool = True
    whole: Sequence[Tensor] = ()

    def copy(self) -> nn.Module:
        """Copy the model of full size, to change it."""
        return copy_of(self.model, self.share_parameters)

    def outputs(self, model: nn.Module) -> list[Tensor]:
        """Run this model, or a changed copy of it."""
        model.train(self.training)
        for module in model.modules():
            if isinstance(module, _BatchNorm | _InstanceNorm):
                module.eval()  # one example has no variance
        draws = alike_draws(devices_of(model, self.inputs), keep_seeded=not self.training)
        with torch.no_grad(), full_precision(_device(model)), draws:
            out = call(model, copies_of(self.inputs))
            return [at_least_half(x) for x in results_in(out)]

    def tried(self, spare: nn.Module) -> _Setting | None:
        """Run the model of full size once; None if it gives no output that can be compared.

        Its copies must not share parameters that it changes itself, as an embedding with a largest
        norm does. So the run takes those of a spare model, which are then compared.
        """
        copy = copy_of(spare, share_parameters=True)
        try:
            outputs = self.outputs(copy)
        except Exception:  # the code of a user may raise anything
            return None
        if not all(bool(out.isfinite().any()) for out in outputs if out.numel()):
            return None
        pairs = zip(copy.parameters(), self.model.parameters(), strict=True)
        shares = all(torch.equal(*pair) for pair in pairs)
        return replace(self, share_parameters=shares, whole=outputs)


class Trials:
    """Compares a model with closed gates and the model without the closed units.

    The trials take copies of the model in at least float32. Half of them take the weights and the
    example inputs as they are, the others add noise to both; half of them take evaluation mode,
    the others training mode. Random draws are alike in both models.

    Parameters
    ----------
    model : nn.Module
        The model without gates; it is not changed.
    example_inputs : Tensor, sequence or mapping
        The inputs of the trials.
    """

    def __init__(self, model: nn.Module, example_inputs: Any) -> None:
        self._model, self._inputs = model, example_inputs
        self._settings: dict[torch.dtype, list[_Setting]] = {}

    def failure(self, groups: Sequence[UnitGroup]) -> str | None:
        """Tell how removing units differs from closing their gates.

        Parameters
        ----------
        groups : sequence of UnitGroup
            The groups of units to try together.

        Returns
        -------
        str or None
            The reason why removal fails, or None if it does not.

        Raises
        ------
        InputError
            If the model runs in no setting, or gives nothing to compare.
        """
        for i, keep in enumerate(_keep_sets([group.n_units for group in groups])):
            reason: str | None = None
            for settings in self._all_settings():
                reason = _difference(settings[i % len(settings)], groups, keep)
                if reason != DIFFERENT:
                    break  # otherwise rounding may have grown, and float64 decides
            if reason is not None:
                return reason
        return None

    @property
    def compares_numbers(self) -> bool:
        """Whether an output has real numbers; whole ones, such as labels, hide small mistakes."""
        settings = next(self._all_settings())
        return any(is_inexact(out) for setting in settings for out in setting.whole)

    def _all_settings(self) -> Iterator[list[_Setting]]:
        """Yield the settings of each precision in which the model runs.

        Those of float64 are made when they are asked for: most models never need them.
        """
        runs = False
        for dtype in _precisions(self._model):
            if settings := self._settings_of(dtype):
                runs = True
                yield settings
        if runs:
            return
        dtype = next(self._model.parameters()).dtype
        if not (settings := self._settings_of(dtype)):
            raise _not_to_be_tried(self._model, self._inputs, dtype)
        yield settings

    def _settings_of(self, dtype: torch.dtype) -> list[_Setting]:
        if dtype not in self._settings:
            self._settings[dtype] = list(_settings(self._model, self._inputs, dtype))
        return self._settings[dtype]


def disagreement(gated: nn.Module, small: nn.Module, example_inputs: Any) -> str | None:
    """Tell how a compact model differs from its gated one on example inputs, in evaluation mode.

    Parameters
    ----------
    gated, small : nn.Module
        The gated model, and what :func:`l0.networks.pruning.compact.compacted` made of it. They
        are not changed.
    example_inputs : Tensor, sequence or mapping
        The inputs of both.

    Returns
    -------
    str or None
        None if the outputs agree up to rounding.
    """
    full = folded(gated)
    reason: str | None = None
    for dtype in _precisions(full):
        setting = _Setting(_in_precision(full, dtype), _as(example_inputs, dtype), False, dtype)
        try:
            expected, again = (setting.outputs(copy_of(setting.model)) for _ in range(2))
        except Exception as error:
            return f"the gated model does not run: {type(error).__name__}: {error}"
        try:
            found = setting.outputs(_in_precision(copy_of(small), dtype))
        except Exception as error:
            return f"the compact model does not run: {type(error).__name__}: {error}"
        if _agree(expected, found, again, dtype):
            return None
        reason = "the outputs of the compact model differ from those of the gated model"
    return reason


def _settings(model: nn.Module, example_inputs: Any, dtype: torch.dtype) -> Iterator[_Setting]:
    plain = _in_precision(copy_of(model), dtype)
    noisy = copy_of(plain)
    add_noise(noisy)
    inputs = _as(example_inputs, dtype)
    plainly = _tried(plain, inputs, dtype)
    noisily = _tried(noisy, noisy_inputs(inputs), dtype)
    if None in noisily:
        instead = _tried(noisy, inputs, dtype)
        noisily = [of or other for of, other in zip(noisily, instead, strict=True)]
    for in_mode in zip(plainly, noisily, strict=True):
        yield from (setting for setting in in_mode if setting is not None)


def _tried(model: nn.Module, inputs: Any, dtype: torch.dtype) -> list[_Setting | None]:
    """Return the settings in evaluation and in training mode, or None for one that gives nothing.

    The spare model serves both modes, unless the first run may have changed it.
    """
    spare = copy_of(model)
    found: list[_Setting | None] = []
    for training in (False, True):
        setting = _Setting(model, inputs, training, dtype).tried(spare)
        if not training and (setting is None or not setting.share_parameters):
            spare = copy_of(model)
        found.append(setting)
    return found


def _not_to_be_tried(model: nn.Module, example_inputs: Any, dtype: torch.dtype) -> InputError:
    """Return the error that says why a model gives nothing to compare."""
    setting = _Setting(copy_of(model), _as(example_inputs, dtype), False, dtype)
    try:
        outputs = setting.outputs(setting.model)
    except Exception as error:
        return InputError(
            "`model` ran once, but not on a copy of it, so units cannot be tried out: "
            f"{type(error).__name__}: {error}; give a model that runs as often as one likes"
        )
    if all(bool(out.isfinite().any()) for out in outputs if out.numel()):
        own = sorted({str(x.dtype) for x in model.parameters()})
        return InputError(
            f"`model` runs only in its own precisions ({', '.join(own)}), in which rounding hides "
            "differences, and not in float32: its code casts to a fixed one; write "
            "`x.to(layer.weight.dtype)`, which follows the layer"
        )
    return InputError(
        "`model` has an output without a single finite number on `example_inputs`, so a trial "
        "cannot show whether units can be removed; return this output only where it is needed, or "
        "give other inputs"
    )


def _keep_sets(sizes: list[int]) -> Iterator[list[Tensor]]:
    """Draw sets of units that stay, with another share in each group; then equal extremes.

    Over the trials, each group has small and large shares, in an order of its own.
    """
    generator = torch.Generator().manual_seed(0)

    def shuffled(n: int) -> Tensor:
        return torch.randperm(n, generator=generator, device="cpu")

    shares = [(shuffled(_N_UNEQUAL) + 0.5) / _N_UNEQUAL for _ in sizes]
    unequal = [
        [math.ceil(n * float(share[i])) for n, share in zip(sizes, shares, strict=True)]
        for i in range(_N_UNEQUAL)
    ]
    for counts in (*unequal, [1] * len(sizes), [max(1, n - 1) for n in sizes]):
        yield [shuffled(n) < n_open for n, n_open in zip(sizes, counts, strict=True)]


def _difference(
    setting: _Setting, groups: Sequence[UnitGroup], keep: Sequence[Tensor]
) -> str | None:
    """Compare the gated with the smaller model at one set of units that stay."""
    gated, small = setting.copy(), setting.copy()
    device = _device(gated)
    gates = [new_gates("hadamard", group.n_units, True, device) for group in groups]
    for gate, stays in zip(gates, keep, strict=True):
        gate.alive.copy_(stays)
    attach(gated, groups, gates)
    try:
        expected = setting.outputs(gated)
    except Exception as error:
        return f"the model does not run with gates on them: {type(error).__name__}: {error}"
    try:
        cut(small, groups, keep)
        found = setting.outputs(small)
    except Exception as error:
        return (
            f"the model does not run without some of them: {type(error).__name__}: {error}; if "
            "its code contains a size, as in view(-1, 800), write flatten(1) or -1"
        )
    return None if _agree(expected, found, setting.whole, setting.dtype) else DIFFERENT


def _agree(
    gated: Sequence[Tensor], found: Sequence[Tensor], before: Sequence[Tensor], dtype: torch.dtype
) -> bool:
    """Tell whether outputs differ only by rounding.

    The limit is ours: a hundred times the rounding error of the largest output. In float64, which
    decides if rounding grows in float32, it is a millionth of the largest output and a
    ten-thousandth of the largest change that closing the units made: code may compute a part in
    float32 always. Outputs that closing hardly changed, such as masked scores, say nothing of the
    rounding of the others.
    """
    if len(gated) != len(found):
        return False
    for place, (a, b) in enumerate(zip(gated, found, strict=True)):
        # The number and the size of outputs may depend on their values.
        full = before[place] if place < len(before) else a
        if full.shape != a.shape or full.dtype != a.dtype:
            full = a
        if a.shape != b.shape:
            return False
        if a.is_complex():
            a, b, full = (torch.view_as_real(x.resolve_conj()) for x in (a, b, full))  # noqa: PLW2901
        if not a.is_floating_point():
            is_clock = not a.ndim and bool(a != full)  # or a number of another kind for each run
            if not is_clock and not torch.equal(a, b):
                return False
            continue
        a, b, full = a.double(), b.double(), full.double()  # noqa: PLW2901
        same, finite = (a == b) | (a.isnan() & b.isnan()), a.isfinite() & full.isfinite()
        sizes = a.abs().where(a.isfinite(), 0)
        changes = (a - full).abs().where(finite, 0)
        telling = _telling(sizes, changes)
        scale = sizes.clamp_min(_largest(sizes[telling]))
        limit = 100 * torch.finfo(dtype).eps * scale
        if dtype == torch.float64:
            limit = 1e-6 * scale + 1e-4 * _largest(changes[telling])
        if not bool((same | ((a - b).abs() <= limit)).all()):
            return False
    return True


def _telling(sizes: Tensor, changes: Tensor) -> Tensor:
    """Tell which outputs changed by a share of their size, or by as much of it as any other."""
    shares = changes / sizes.clamp_min(1e-300)
    return shares >= min(_CHANGED, 0.1 * _largest(shares))


def _largest(x: Tensor) -> float:
    return float(x.max()) if x.numel() else 0.0


def _precisions(model: nn.Module) -> tuple[torch.dtype, ...]:
    if next(model.parameters()).dtype in (torch.float64, torch.complex128):
        return (torch.float64,)
    return torch.float32, torch.float64


def _as(example_inputs: Any, dtype: torch.dtype) -> Any:
    return mapped(lambda x: _number_as(x, dtype), example_inputs)


def _in_precision(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Convert a model in place; complex numbers stay complex."""
    model._apply(lambda x: _number_as(x, dtype))
    return model


def _number_as(x: Tensor, dtype: torch.dtype) -> Tensor:
    if x.is_complex():
        return x.to(dtype.to_complex())
    return x.to(dtype) if x.is_floating_point() else x


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
