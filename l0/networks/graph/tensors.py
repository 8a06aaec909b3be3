"""Nested inputs and outputs of a model, and copies of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from copy import deepcopy
from itertools import islice
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

#: So many parts of an iterator are taken.
_MOST = 10_000

#: Their attributes are no results of a model.
_NOT_OPENED = (
    str,
    bytes,
    type,
    nn.Module,
    ModuleType,
    FunctionType,
    BuiltinFunctionType,
    MethodType,
)


def is_inexact(tensor: Tensor) -> bool:
    """Tell whether a tensor holds real or complex numbers, which can be NaN."""
    return tensor.is_floating_point() or tensor.is_complex()


def at_least_half(tensor: Tensor) -> Tensor:
    """Return float8, with which torch hardly computes, as float32; others as they are."""
    return tensor.float() if tensor.is_floating_point() and tensor.itemsize == 1 else tensor


def is_sparse(tensor: Tensor) -> bool:
    """Tell whether a tensor stores only some of its entries, and so has no one piece of memory."""
    return tensor.layout not in (torch.strided, torch.jagged)


def entries_of(tensor: Tensor) -> Tensor:
    """Return the entries that a sparse tensor stores, in its memory; others as they are."""
    if not is_sparse(tensor):
        return tensor
    return tensor._values() if tensor.layout == torch.sparse_coo else tensor.values()


def has_nan(tensor: Tensor) -> bool:
    """Tell whether an entry is NaN."""
    if not is_inexact(tensor):
        return False
    entries = entries_of(tensor)
    return entries.numel() > 0 and bool(_ordered(entries).amin().isnan())


def nan_along(tensor: Tensor, axis: int) -> Tensor:
    """Tell which positions along an axis hold NaN; all of them, if there is no entry to hold it."""
    if not tensor.numel():
        return torch.ones(tensor.shape[axis], dtype=torch.bool, device=tensor.device)
    tensor = tensor.to_dense() if is_sparse(tensor) else tensor
    x = _ordered(tensor.movedim(axis, -1))
    return (x.amin(tuple(range(x.ndim - 1))) if x.ndim > 1 else x).isnan()


def _ordered(tensor: Tensor) -> Tensor:
    """Return real numbers whose least one is NaN if an entry is: a search many times faster.

    Of complex numbers, this is the smaller part of each.
    """
    if tensor.is_complex():
        return torch.view_as_real(tensor.resolve_conj()).amin(-1)
    return at_least_half(tensor)


def call(model: nn.Module, example_inputs: Any) -> Any:
    """Run a model on example inputs: a tensor, a sequence of arguments, or named arguments."""
    if isinstance(example_inputs, Mapping):
        return model(**example_inputs)
    if isinstance(example_inputs, Sequence):
        return model(*example_inputs)
    return model(example_inputs)


def mapped(function: Any, example_inputs: Any) -> Any:
    """Return example inputs in the same form, in which a function replaced each tensor."""
    if isinstance(example_inputs, Mapping):
        example_inputs = dict(example_inputs)  # tree_map knows no other mappings
    return tree_map(lambda x: function(x) if isinstance(x, Tensor) else x, example_inputs)


def devices_of(model: nn.Module, example_inputs: Any = ()) -> set[torch.device]:
    """Return the devices of a model and its inputs."""
    return {x.device for x in (*model.parameters(), *model.buffers(), *tensors_in(example_inputs))}


def mode_of(model: nn.Module) -> torch.inference_mode:
    """Make a context for parameters that can be trained like those of a model.

    What is made within `torch.inference_mode` can never be trained. So a call of ours within it
    leaves it, unless the model itself was made there.
    """
    return torch.inference_mode(any(x.is_inference() for x in model.parameters()))


def copies_of(example_inputs: Any) -> Any:
    """Return copies of example inputs, for a model that may change its inputs in place."""
    return mapped(torch.clone, example_inputs)


def moved(example_inputs: Any, device: torch.device) -> Any:
    """Return example inputs with all tensors on a device, in the form in which they came."""
    return mapped(lambda x: x.to(device), example_inputs)


def tensors_in(out: Any) -> Iterator[Tensor]:
    """Yield all tensors of a nested structure, in order.

    Parameters
    ----------
    out : object
        Containers, dataclasses and other objects are opened. A cache of keys and values, as the
        models of `transformers` return it, is state for the next pass and no result: it is not
        opened.

    Yields
    ------
    Tensor
        Floating-point numbers are yielded as tensors of float64.
    """
    yield from _tensors_in(out, set())


def results_in(out: Any) -> Iterator[Tensor]:
    """Yield all that a model returns as tensors: also whole numbers, and arrays of NumPy.

    Parameters
    ----------
    out : object
        As for :func:`tensors_in`. Iterators, such as generators, are used up; of one without end,
        the first parts are taken. Sparse tensors are yielded with all of their entries.

    Yields
    ------
    Tensor
    """
    yield from _tensors_in(out, set(), of_results=True)


def _tensors_in(out: Any, seen: set[int], of_results: bool = False) -> Iterator[Tensor]:
    if isinstance(out, Tensor):
        yield out.to_dense() if of_results and is_sparse(out) else out
    elif isinstance(out, float):
        yield torch.tensor(out, dtype=torch.float64, device="cpu")
    elif of_results and isinstance(out, int):
        yield torch.tensor(out % 2**63, device="cpu")
    elif isinstance(out, np.ndarray | np.generic) and out.dtype.kind in "biufc":
        if of_results:
            yield torch.as_tensor(np.array(out), device="cpu")
    elif not isinstance(out, _NOT_OPENED) and id(out) not in seen:
        seen.add(id(out))
        if isinstance(out, Mapping):
            parts = list(out.values())
        elif isinstance(out, Sequence | AbstractSet):
            parts = list(out)
        elif of_results and isinstance(out, Iterator):
            parts = list(islice(out, _MOST))
        elif any(cls.__name__.endswith("Cache") for cls in type(out).__mro__):
            parts = []
        else:
            slots = [n for cls in type(out).__mro__ for n in getattr(cls, "__slots__", ())]
            parts = [getattr(out, n) for n in slots if isinstance(n, str) and hasattr(out, n)]
            parts += list(getattr(out, "__dict__", {}).values())
        for part in parts:
            yield from _tensors_in(part, seen, of_results)


def copy_of(model: nn.Module, share_parameters: bool = False) -> nn.Module:
    """Return a copy of a model.

    Parameters
    ----------
    model : nn.Module
        It may keep activations on itself. They are copied without their gradient history, which
        cannot be copied.
    share_parameters : bool, default False
        Whether the copy has the same parameters. Only its modules and buffers are then copied.

    Returns
    -------
    nn.Module
    """
    memo: dict[int, Any] = {}
    if share_parameters:
        memo = {id(p): p for p in model.parameters()}
    for buffer in model.buffers():
        if is_sparse(buffer):  # torch cannot copy compressed rows and columns
            memo[id(buffer)] = buffer.clone()
    for module in model.modules():
        for name, value in vars(module).items():
            if name in ("_parameters", "_buffers", "_modules"):
                continue
            for tensor in tensors_in(value) if not isinstance(value, float) else ():
                if not tensor.is_leaf or is_sparse(tensor):
                    memo[id(tensor)] = tensor.detach().clone()
    return deepcopy(model, memo)
