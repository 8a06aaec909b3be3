"""Inputs and outputs of any form, and copies."""

from collections import UserDict, namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from l0.networks.graph.tensors import (
    call,
    copy_of,
    has_nan,
    moved,
    nan_along,
    results_in,
    tensors_in,
)


def test_inputs_are_a_tensor_or_a_sequence_or_named():
    model = nn.Bilinear(3, 4, 2)
    a, b = torch.randn(5, 3), torch.randn(5, 4)
    expected = model(a, b)
    assert torch.equal(call(model, (a, b)), expected)
    assert torch.equal(call(model, [a, b]), expected)
    assert torch.equal(call(model, {"input2": b, "input1": a}), expected)
    assert torch.equal(call(nn.ReLU(), a), a.relu())


def test_inputs_of_every_form_move_with_all_their_tensors():
    x, there = torch.ones(2), torch.device("meta")
    assert moved(x, there).device == there
    one, (two, scale), name = moved((x, [x, 0.5], "name"), there)
    assert (one.device, two.device, scale, name) == (there, there, 0.5, "name")
    for named in ({"x": x, "flag": True}, UserDict(x=x, flag=True)):  # tokenizers give such dicts
        found = moved(named, there)
        assert found["x"].device == there and found["flag"] is True
    assert x.device.type == "cpu"


@dataclass
class Both:
    first: Any
    second: Any


class Plain:
    def __init__(self, *parts):
        self.parts, self.itself = parts, self


class Slots:
    __slots__ = ("part", "unset")

    def __init__(self, part):
        self.part = part


class DynamicCache(Plain):
    """What `transformers` returns beside the result."""


Pair = namedtuple("Pair", "one two")  # noqa: PYI024


def test_every_tensor_of_a_structure_is_found_in_order():
    a, b, c, d, e, f = (torch.full((1,), float(i)) for i in range(6))
    out = {"x": (a, [b]), "y": Both(c, {"z": Plain(d, "text", 3)}), "s": Pair(Slots(e), None)}
    found = list(tensors_in([out, UserDict(last=f), DynamicCache(a), nn.Linear(2, 2), out]))
    assert [float(t) for t in found] == [0, 1, 2, 3, 4, 5]
    assert [float(t) for t in tensors_in((0.5, 2, True, "a"))] == [0.5]


def test_a_model_that_keeps_activations_is_copied():
    model = nn.Sequential(nn.Linear(3, 2))
    model.last = Both(model(torch.ones(1, 3)), [model[0].weight * 2])
    copy = copy_of(model)
    assert torch.equal(copy.last.first, model.last.first)
    assert not copy.last.second[0].requires_grad
    assert copy[0].weight is not model[0].weight
    assert copy_of(model, share_parameters=True)[0].weight is model[0].weight


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.complex64, torch.float8_e5m2]
)
@pytest.mark.parametrize("shape", [(5,), (2, 5), (3, 2, 5, 4)])
def test_an_entry_that_is_nan_is_found_among_infinite_ones(shape, dtype):
    axis = shape.index(5)
    x = torch.randn(shape).to(dtype)
    x.select(axis, 0).fill_(torch.inf)
    x.select(axis, 1).fill_(-torch.inf)
    assert not has_nan(x)
    assert not nan_along(x, axis).any()
    x.movedim(axis, 0)[3] = complex(0, torch.nan) if x.is_complex() else torch.nan
    assert has_nan(x)
    assert has_nan(x.conj())
    assert nan_along(x, axis).tolist() == [False, False, False, True, False]
    assert not has_nan(x[:0])


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("form", ["to_sparse", "to_sparse_csr", "to_sparse_csc"])
def test_sparse_tensors_are_searched_and_copied(form):
    x = torch.eye(3)
    assert not has_nan(getattr(x, form)())
    x[0, 2] = torch.nan
    sparse = getattr(x, form)()
    assert has_nan(sparse)
    assert nan_along(sparse, -1).tolist() == [False, False, True]
    model = nn.Linear(3, 2)
    model.register_buffer("graph", getattr(torch.eye(3), form)())
    model.kept = sparse
    copy = copy_of(model)
    assert copy.graph.layout == model.graph.layout and copy.kept is not model.kept
    copy.graph.values().fill_(2) if form != "to_sparse" else copy.graph._values().fill_(2)
    assert torch.equal(model.graph.to_dense(), torch.eye(3))
    (result,) = results_in(model.graph)
    assert torch.equal(result, torch.eye(3))
