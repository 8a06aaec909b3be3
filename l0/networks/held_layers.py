"""Functions that hold layers of a model: a copy of the model would call the layers of the model."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from torch import nn

#: Functions that hold functions are followed so far.
_DEPTH = 3


def holds_layers(value: Any, model: nn.Module) -> bool:
    """Tell whether an attribute of a module has a function that holds a layer of the model.

    Containers of functions are opened. What a copy of the model copies is no matter: a container of
    layers, the object of a method, and the arguments of a partial function.
    """
    if isinstance(value, partial):
        return holds_layers(value.func, model)
    if isinstance(value, dict):
        return any(holds_layers(each, model) for each in value.values())
    if type(value) in (list, tuple):
        return any(holds_layers(each, model) for each in value)
    if isinstance(value, MethodType):
        value = value.__func__
    held = list(_held(value, _DEPTH)) if isinstance(value, FunctionType) else []
    own = set(model.modules()) if held else set()
    return any(not own.isdisjoint(layer.modules()) for layer in held)


def _held(value: Any, depth: int) -> Iterator[nn.Module]:
    """Yield the layers that a value holds, as far as a function that has it can call them."""
    if isinstance(value, nn.Module):
        yield value
    elif isinstance(value, MethodType):
        yield from _held(value.__self__, depth)
    elif isinstance(value, partial):
        for each in (value.func, *value.args, *value.keywords.values()):
            yield from _held(each, depth)
    elif type(value) in (list, tuple, dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _held(each, depth)
    elif isinstance(value, FunctionType) and depth:
        for each in _names(value):
            yield from _held(each, depth - 1)


def _names(function: FunctionType) -> Iterator[Any]:
    """Yield the values of a function's defaults, of its closure, and of the globals in its code."""
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # it is empty
            yield cell.cell_contents
    # Not `co_names`, which has names of attributes too.
    loaded = {i.argval for i in dis.get_instructions(function) if i.opname == "LOAD_GLOBAL"}
    for name in loaded & function.__globals__.keys():
        yield function.__globals__[name]
