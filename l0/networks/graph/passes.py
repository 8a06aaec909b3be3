"""Passes of a model that are recorded to find its units: in evaluation and in training mode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from l0.common.errors import InputError, first_few
from l0.networks.graph.channel_layout import ChannelLayout
from l0.networks.graph.draws import alike_draws
from l0.networks.graph.known_types import type_of
from l0.networks.graph.layer_types import LayerType
from l0.networks.graph.loose import axes_of_channels, loose_tensors, loose_type
from l0.networks.graph.products import Products, products_of
from l0.networks.graph.tape import Event, Tape, storage_of
from l0.networks.graph.tensors import devices_of, has_nan, is_inexact, tensors_in

#: What to do about nested tensors.
_PADDED = "use padded tensors, as torch.nested.to_padded_tensor makes them, with a mask"


@dataclass(frozen=True)
class Passes:
    """What the passes of a model called.

    Attributes
    ----------
    tapes : list of Tape
        The pass in evaluation mode, and the one in training mode if the model runs in it.
    layouts : dict of str to ChannelLayout
        The layers of a known type that a pass called, in the order of the model.
    types : dict of str to LayerType
        The types of these layers.
    n_positions : dict of str to float
        For each of these layers, the number of positions of one example to which it is applied in
        evaluation mode, over all calls. The first axis of the first input counts the examples.
    products : dict of tuple of str to float
        The multiply-adds of products between the layers, for one example, by the layers of
        their factors.
    other_products : float
        The multiply-adds of products that grow with no layer, for one example.
    never_called : list of str
        The layers of a known type that no pass called.
    """

    tapes: list[Tape]
    layouts: dict[str, ChannelLayout]
    types: dict[str, LayerType]
    n_positions: dict[str, float]
    products: Products
    other_products: float
    never_called: list[str]


def recorded(
    model: nn.Module,
    example_inputs: Any,
    types: dict[str, LayerType] | None = None,
    loose_parameters: Mapping[str, int] | None = None,
) -> Passes:
    """Record the passes of a model.

    Parameters
    ----------
    model : nn.Module
        Its mode and its state change: give a copy.
    example_inputs : Tensor, sequence or mapping
        A batch.
    types : dict of str to LayerType, optional
        The types of the layers; by default, those that :func:`types_of` finds.
    loose_parameters : mapping of str to int, optional
        The axes of the channels of loose parameters, by patterns of their names.

    Returns
    -------
    Passes

    Raises
    ------
    InputError
        If the example inputs are no batch, do not run through the model, or lead to NaN; or if the
        model returns no tensor.
    """
    shape = _shape_of_batch(example_inputs)
    n_examples = shape[0] if shape else 1
    types = types_of(model) if types is None else types
    known = {name: kind.layout(model.get_submodule(name)) for name, kind in types.items()}
    layouts = {name: layout for name, layout in known.items() if layout is not None}
    loose = {
        name: tensor
        for name, tensor in loose_tensors(model, types).items()
        if not is_derived(model.get_submodule(name.rpartition(".")[0]))
        and ".parametrizations." not in f".{name}"
    }
    tapes = _tapes_of_both_modes(model, example_inputs, layouts, loose)
    called = {name for tape in tapes for name in tape.calls}
    n_positions = {name: 0.0 for name in layouts if name in called}
    evaluation = tapes[0]
    for name, places in evaluation.calls.items():
        for i in places:
            n = _n_positions(model.get_submodule(name), types[name], evaluation.events[i], shape)
            n_positions[name] += n / n_examples
    never_called = [n for n in layouts if n not in n_positions and not _inside(n, layouts)]
    used = {name: types[name] for name in n_positions}
    for name, axis in axes_of_channels(tapes, loose, loose_parameters or {}).items():
        source = loose_type(name, axis)
        used[name] = source
        layouts[name] = source.layout(model.get_submodule(name.rpartition(".")[0]))
        n_positions[name] = 0.0
        for tape in tapes:
            if tape.reads(loose[name]):
                tape.add_source(name)
    # Only now: products grow with loose tensors too.
    by_layer, rest = products_of(evaluation)
    products = {key: n / n_examples for key, n in by_layer.items()}
    described = {name: layouts[name] for name in n_positions}
    return Passes(tapes, described, used, n_positions, products, rest / n_examples, never_called)


def _shape_of_batch(example_inputs: Any) -> tuple[int, ...]:
    """Give the shape of the first input with axes, of which the first counts the examples."""
    tensors = list(tensors_in(example_inputs))
    if any(x.is_nested for x in tensors):
        raise InputError(f"`example_inputs` have a nested tensor; {_PADDED}")
    shape = next((tuple(x.shape) for x in tensors if x.ndim), ())
    if shape and not shape[0]:
        raise _no_batch(shape)
    return shape


def _tapes_of_both_modes(
    model: nn.Module,
    example_inputs: Any,
    layouts: dict[str, ChannelLayout],
    loose: dict[str, Tensor],
) -> list[Tape]:
    """Record the pass in evaluation mode, and the one in training mode if there is one."""
    devices = devices_of(model, example_inputs)
    try:
        with alike_draws(devices):
            tape = Tape(model, example_inputs, layouts, False, loose)
    except Exception as error:
        raise InputError(
            f"`example_inputs` do not run through the model: {type(error).__name__}: {error}; "
            "give a tensor, a tuple of positional arguments, or a dict of named arguments"
        ) from error
    if not tape.outputs:
        raise InputError(
            f"`model` returns {tape.kind}, in which no tensor is found; let it return a tensor, or "
            "several tensors in a tuple, a list or a dict"
        )
    tapes = [tape]
    with suppress(Exception), alike_draws(devices):  # in training mode, models may ask for labels
        tapes.append(Tape(model, example_inputs, layouts, True, loose))
    sources = [*tensors_in(example_inputs), *model.parameters(), *model.buffers()]
    for each in tapes:
        _check_nested(each, sources)
        _check_float8(each, loose)
    seen = [x for event in tape.events if event.func is None for x in event.inputs]
    if any(has_nan(x) for x in (*seen, *tape.outputs)):
        raise InputError("`example_inputs` lead to NaN in the model; give finite inputs")
    return tapes


def types_of(model: nn.Module, others: Iterable[LayerType] = ()) -> dict[str, LayerType]:
    """Return the types of the layers of a model, by name, in the order of the model.

    Parameters
    ----------
    model : nn.Module
        The model.
    others : iterable of LayerType
        Types that come before those that the package knows.
    """
    others = tuple(others)
    found = {n: None if is_derived(m) else type_of(m, others) for n, m in model.named_modules()}
    return {name: kind for name, kind in found.items() if kind is not None}


def _check_nested(tape: Tape, sources: Iterable[Tensor]) -> None:
    """Refuse nested tensors through which marks would go; a mask made of constants meets none."""
    if any(x.is_nested for x in tape.outputs):
        raise InputError(
            f"`model` returns a nested tensor, whose channels no trial compares; {_PADDED}"
        )
    reached = {storage_of(x) for x in sources if is_inexact(x)}
    for event in tape.events:
        if event.func is None or any(storage_of(x) in reached for x in event.inputs):
            reached |= {storage_of(x) for x in event.outputs}
            if any(x.is_nested for x in (*event.inputs, *event.outputs)):
                raise InputError(
                    "`model` computes with nested tensors, in which channels cannot be followed; "
                    + _PADDED
                )


def _check_float8(tape: Tape, loose: Mapping[str, Tensor]) -> None:
    """Refuse parameters in a precision in which gates cannot be multiplied into them."""
    names = [name for name, x in loose.items() if x.itemsize == 1 and tape.reads(x)]
    if names:
        raise InputError(
            f"`model` has float8 outside the layers, in {first_few(names)}, with which torch "
            "hardly computes; sparsify model.float(), and convert what `compact` returns"
        )


def _inside(name: str, layouts: dict[str, ChannelLayout]) -> bool:
    """Tell whether a layer is a part of another known layer, which calls or reads it itself."""
    parts = name.split(".")
    return any(".".join(parts[:i]) in layouts for i in range(1, len(parts)))


def _n_positions(
    module: nn.Module, layer_type: LayerType, event: Event, shape: tuple[int, ...]
) -> float:
    out = event.outputs[0] if event.outputs else event.inputs[0]
    if out.ndim == len(shape) == 1:
        raise _no_batch(shape)
    return layer_type.n_positions(module, event.inputs, event.outputs)


def _no_batch(shape: tuple[int, ...]) -> InputError:
    return InputError(
        f"`example_inputs` has the shape {shape}; give a batch of one or two examples, in which "
        "the first axis counts the examples"
    )


def is_derived(module: nn.Module) -> bool:
    """Tell whether a layer computes its weight from other tensors; it then gets no gates."""
    weight = getattr(module, "weight", None)
    held = {**module._parameters, **module._buffers}
    computed = isinstance(weight, Tensor) and "weight" not in held
    return computed or parametrize.is_parametrized(module)
