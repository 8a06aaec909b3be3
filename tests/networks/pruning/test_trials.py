"""Trials find what differs, whatever the precision, the inputs, the mode or the form of outputs."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from l0.common.errors import InputError
from l0.networks import Params, sparsify
from tests.networks.unequal import UNEQUAL, UNITS, Shuffled, Squeezed, largest_difference


def made(name, dtype=torch.float32):
    torch.manual_seed(0)
    make, inputs = UNEQUAL[name]
    inputs = inputs()
    if isinstance(inputs, torch.Tensor) and inputs.is_floating_point():
        inputs = inputs.to(dtype)
    return make().to(dtype), inputs


@pytest.mark.parametrize("name", UNEQUAL)
def test_groups_that_agree_only_when_equal_are_one_group(name):
    model, inputs = made(name)
    sparsifier = sparsify(model, inputs, Params(0.99))
    assert sorted(group.n_units for group in sparsifier.structure.groups) == UNITS[name]
    assert largest_difference(sparsifier, inputs) < 1e-5


@pytest.mark.parametrize("name", ["chunk", "one count of heads", "stack"])
def test_half_precision_takes_the_same_decisions(name):
    expected, found = (
        sparsify(*made(name, dtype), Params(0.99)).structure
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert [g.name for g in expected.groups] == [g.name for g in found.groups]
    assert expected.left_out == found.left_out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("example", [torch.randn, torch.zeros])
def test_rounding_and_zeros_hide_no_shuffle(dtype, example):
    torch.manual_seed(0)
    model = Shuffled()
    for layer in (model.a, model.b):
        nn.init.zeros_(layer.bias)
    with pytest.raises(InputError, match="no unit that can be removed"):
        sparsify(model.to(dtype), example(2, 5).to(dtype), Params(0.9))


@pytest.mark.parametrize("small", [0.0, 1e-6])
def test_a_layer_that_starts_at_zero_hides_nothing(small):
    class Behind(nn.Module):
        def __init__(self):
            super().__init__()
            self.shuffled, self.scale = Shuffled(), nn.Parameter(torch.full((3,), small))
            self.a, self.b = nn.Linear(5, 4), nn.Linear(4, 3)

        def forward(self, x):
            return self.b(self.a(x)) + self.scale * self.shuffled(x)

    structure = sparsify(Behind(), torch.randn(2, 5), Params(0.9)).structure
    assert [group.name for group in structure.groups] == ["a"]


def test_a_number_that_the_code_divides_by_is_seen():
    structure = sparsify(Squeezed(), torch.randn(2, 3, 4, 4), Params(0.9)).structure
    assert [group.name for group in structure.groups] == ["b"]


@dataclass
class Result:
    loss: torch.Tensor
    features: torch.Tensor


class Plain:
    def __init__(self, loss, features):
        self.loss, self.features = loss, [features]


@pytest.mark.parametrize(
    "form",
    [
        lambda loss, f: (loss, Result(loss, f)),
        Plain,
        lambda loss, f: {"a": [loss, Plain(loss, f)]},
        lambda loss, f: (loss, {"width": float(f.shape[-1])}),
    ],
    ids=["dataclass", "object", "nested", "number"],
)
def test_every_tensor_of_every_output_is_compared(form):
    class Features(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(5, 16), nn.Linear(16, 6), nn.Linear(6, 1)

        def forward(self, x):
            h = F.relu(self.a(x))
            return form(self.c(self.b(h).relu()).mean(), h)

    sparsifier = sparsify(Features(), torch.randn(2, 5), Params(0.9))
    assert [group.name for group in sparsifier.structure.groups] == ["b"]
    assert sparsifier.compact().a.out_features == 16


class Sampled(nn.Module):
    """Draws noise for channels that can be removed."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 16), nn.Linear(16, 12), nn.Linear(12, 2)

    def forward(self, x):
        mean = self.b(F.dropout(F.relu(self.a(x)), 0.5, training=True))
        return self.c(mean + torch.randn_like(mean))


def test_models_that_draw_random_numbers_keep_their_units():
    sparsifier = sparsify(Sampled(), torch.randn(2, 5), Params(0.5))
    assert [group.name for group in sparsifier.structure.groups] == ["a", "b"]
    assert sparsifier.compact().b.out_features < 12


def test_a_model_that_keeps_activations_on_itself_is_compacted():
    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.last = nn.Linear(5, 16), nn.Linear(16, 2), []

        def forward(self, x):
            self.last = [F.relu(self.a(x))]
            return self.b(self.last[0])

    model = Keeps()
    sparsifier = sparsify(model, torch.randn(2, 5), Params(0.5))
    model(torch.randn(2, 5)).sum().backward()
    sparsifier.step()
    sparsifier.finish()
    assert sparsifier.compact().a.out_features < 16
    assert sparsifier.report(latency=False)
