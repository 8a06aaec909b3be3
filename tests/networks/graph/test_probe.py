"""Marks reach exactly the channels that depend on them."""

from collections import UserDict

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from l0.common.errors import InputError
from l0.networks.graph.probe import OUTPUT, Probe, call, is_derived, moved
from tests.networks.nets import NETS


class Between(nn.Module):
    """Two layers of six channels with any code between them."""

    def __init__(self, code):
        super().__init__()
        self.first, self.second, self.code = nn.Linear(4, 6), nn.Linear(6, 2), code

    def forward(self, x):
        return self.second(self.code(self.first(x)))


THREES = {0, 1, 2}, {3, 4, 5}


def one(i, n=6):
    return torch.arange(n) == i


@pytest.mark.parametrize("i", range(6))
@pytest.mark.parametrize(
    ("code", "reached"),
    [
        (F.gelu, lambda i: {i}),
        (lambda x: x.roll(2, -1), lambda i: {(i + 2) % 6}),
        (lambda x: x + x.flip(-1), lambda i: {i, 5 - i}),
        (lambda x: x.unflatten(1, (2, 3)).softmax(-1).flatten(1), lambda i: THREES[i // 3]),
        (lambda x: F.layer_norm(x, (6,)), lambda i: {*range(6)}),
        (lambda x: x * torch.tensor([1.0, 0, 1, 0, 1, 0]), lambda i: {i}),
        (lambda x: x[:, [0, 1, 2, 0, 1, 2]], lambda i: {i, i + 3} if i < 3 else set()),
    ],
    ids=["pointwise", "moved", "added", "softmax", "norm", "times zero", "dropped"],
)  # fmt: skip
def test_a_mark_reaches_what_depends_on_its_channel(code, reached, i):
    probe = Probe(Between(code), torch.randn(2, 4))
    marks = probe.run({"first": one(i)})
    assert set(marks["second"].nonzero().flatten().tolist()) == reached(i)
    assert not marks["first"].any()
    assert not marks[OUTPUT]  # the second layer stops marks


def test_marks_of_the_last_layer_reach_the_output_and_marked_inputs_the_first():
    probe = Probe(NETS["mlp"][0](), torch.randn(3, 12))
    assert probe.run({"4": one(1, 4)})[OUTPUT]
    marks = probe.run_inputs()
    assert marks["0"].all()
    assert not marks["2"].any()


def test_marked_tensors_are_put_back():
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))
    model.scale = nn.Parameter(torch.ones(4))
    model.forward = lambda x: model[1](model[0](x * model.scale))
    marks = Probe(model, torch.randn(2, 4)).run_tensors([model.scale])
    assert marks["0"].all() and not marks["1"].any()
    assert torch.equal(model.scale, torch.ones(4))


@pytest.mark.parametrize("name", NETS)
def test_no_marks_without_a_source_and_runs_do_not_depend_on_earlier_ones(name):
    torch.manual_seed(0)
    model, inputs = (make() for make in NETS[name])
    probe = Probe(model, inputs)
    layer, layout = next(iter(probe.layouts.items()))
    source = {layer: one(0, layout.n_out)}
    before = probe.run(source)
    assert not any(mark.any() for mark in probe.run({}).values())
    after = probe.run(source)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize(
    ("model", "inputs", "expected"),
    [
        (nn.Sequential(nn.Linear(4, 3)), torch.randn(2, 4), {"0": 1}),
        (nn.Sequential(nn.Linear(4, 3)), torch.randn(2, 7, 4), {"0": 7}),
        (nn.Sequential(nn.Conv2d(2, 3, 3)), torch.randn(3, 2, 6, 5), {"0": 4 * 3}),
        (nn.Sequential(nn.ConvTranspose2d(2, 3, 3)), torch.randn(3, 2, 6, 5), {"0": 6 * 5}),
        (nn.Sequential(nn.Embedding(9, 3)), torch.zeros(2, 5, dtype=torch.long), {"0": 5}),
    ],
)
def test_positions_of_one_example_are_counted(model, inputs, expected):
    assert Probe(model, inputs).n_positions == expected


def test_positions_add_up_over_calls():
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer)
    model.forward = lambda x: layer(layer(layer(x)))
    assert Probe(model, torch.randn(2, 4)).n_positions == {"0": 3}


def test_layers_of_unknown_type_or_with_computed_weights_are_not_probed():
    model = nn.Sequential(
        nn.Linear(4, 6),
        nn.LayerNorm(6),
        parametrizations.weight_norm(nn.Linear(6, 5)),
        nn.Linear(5, 2),
    )
    assert [is_derived(layer) for layer in model] == [False, False, True, False]
    assert Probe(model, torch.randn(2, 4)).layouts.keys() == {"0", "3"}


def test_inputs_are_a_tensor_or_a_sequence_or_named():
    model = nn.Bilinear(3, 4, 2)
    a, b = torch.randn(5, 3), torch.randn(5, 4)
    expected = model(a, b)
    assert torch.equal(call(model, (a, b)), expected)
    assert torch.equal(call(model, [a, b]), expected)
    assert torch.equal(call(model, {"input2": b, "input1": a}), expected)
    assert torch.equal(call(nn.ReLU(), a), a.relu())


def test_code_that_refuses_nan_is_named():
    def checked(x):
        if x.isnan().any():
            raise RuntimeError("not a number")
        return x

    with pytest.raises(InputError, match="its code raises RuntimeError: not a number; turn off"):
        Probe(Between(checked), torch.randn(2, 4)).run({"first": one(0)})


def test_inputs_of_every_form_move_with_all_their_tensors():
    x, there = torch.ones(2), torch.device("meta")
    assert moved(x, there).device == there
    one, (two, scale), name = moved((x, [x, 0.5], "name"), there)
    assert (one.device, two.device, scale, name) == (there, there, 0.5, "name")
    for named in ({"x": x, "flag": True}, UserDict(x=x, flag=True)):  # tokenizers give such dicts
        found = moved(named, there)
        assert found["x"].device == there and found["flag"] is True
    assert x.device.type == "cpu"
