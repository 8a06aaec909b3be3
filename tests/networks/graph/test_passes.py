"""What the passes of a model call, and how often."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from l0.common.errors import InputError
from l0.networks import Params, Units, sparsify
from l0.networks.graph.passes import is_derived, recorded
from tests.networks.unequal import largest_difference


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
    assert recorded(model, inputs).n_positions == expected


def test_positions_add_up_over_calls():
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer)
    model.forward = lambda x: layer(layer(layer(x)))
    assert recorded(model, torch.randn(2, 4)).n_positions == {"0": 3}


def test_layers_of_unknown_type_or_with_computed_weights_are_not_recorded():
    model = nn.Sequential(
        nn.Linear(4, 6),
        nn.LayerNorm(6),
        parametrizations.weight_norm(nn.Linear(6, 5)),
        nn.Linear(5, 2),
    )
    assert [is_derived(layer) for layer in model] == [False, False, True, False]
    assert recorded(model, torch.randn(2, 4)).layouts.keys() == {"0", "1", "3"}


def test_example_inputs_that_lead_to_nan():
    with pytest.raises(InputError, match="lead to NaN"):
        recorded(nn.Linear(4, 2), torch.full((2, 4), torch.nan))


class Nested(nn.Module):
    """A nested tensor as the output, as the input of a layer, or between two layers."""

    def __init__(self, layout, use):
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 2)
        self.layout, self.use = layout, use

    def forward(self, x):
        x = self.a(x).relu()
        if self.use == "returned":
            return torch.nested.as_nested_tensor(list(self.b(x)), layout=self.layout)
        nested = torch.nested.as_nested_tensor(list(x), layout=self.layout)
        if self.use == "read":
            return torch.nested.to_padded_tensor(self.b(nested), 0.0)
        return self.b(torch.nested.to_padded_tensor(nested, 0.0))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_tensors_are_refused(layout):
    x = torch.randn(3, 5, 4)
    with pytest.raises(InputError, match="`model` returns a nested tensor, .*to_padded_tensor"):
        recorded(Nested(layout, "returned"), x)
    for use in ("read", "between"):
        with pytest.raises(InputError, match="`model` computes with nested tensors, .*padded"):
            recorded(Nested(layout, use), x)
    given = torch.nested.as_nested_tensor(list(x), layout=layout)
    with pytest.raises(InputError, match="`example_inputs` have a nested tensor; .*padded"):
        recorded(nn.Linear(4, 2), given)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_a_mask_that_nested_tensors_make_is_no_reason_to_refuse(layout):
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x, lengths):
            ones = [torch.ones(n, 1) for n in lengths.tolist()]
            mask = torch.nested.to_padded_tensor(
                torch.nested.as_nested_tensor(ones, layout=layout), 0.0
            )
            return self.b(self.a(x).relu() * mask)

    inputs = torch.randn(3, 5, 4), torch.tensor([5, 2, 4])
    sparsifier = sparsify(Masked(), inputs, Units(3))
    assert [group.name for group in sparsifier.structure.groups] == ["a"]
    assert largest_difference(sparsifier, inputs) < 1e-5


class Auxiliary(nn.Module):
    """A head that only training uses, and one that nothing uses."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(5, 16), nn.Linear(16, 12), nn.Linear(12, 3)
        self.auxiliary, self.never = nn.Linear(16, 3), nn.Linear(16, 3)

    def forward(self, x, extra=False):
        h = F.relu(self.a(x))
        out = self.head(F.relu(self.b(h)))
        if extra:
            return self.never(h)
        return (out, self.auxiliary(h)) if self.training else out


def test_a_head_that_only_training_uses_shrinks_with_its_input():
    torch.manual_seed(0)
    model, x = Auxiliary(), torch.randn(4, 5)
    sparsifier = sparsify(model, x, Params(0.6))
    groups = {group.name: group for group in sparsifier.structure.groups}
    assert [member.module for member in groups["a"].consumers] == ["b", "auxiliary"]
    small = sparsifier.compact()
    for found, expected in zip(small.train()(x), model.train()(x), strict=True):
        assert torch.allclose(found, expected, atol=1e-5)


def test_layers_that_no_pass_calls_are_named():
    structure = sparsify(Auxiliary(), torch.randn(4, 5), Params(0.9)).structure
    reasons = {left.name: left.reason for left in structure.left_out}
    assert "never call it" in reasons["never"]
    assert "auxiliary" not in {name for name in reasons if "never call" in reasons[name]}


class Experts(nn.Module):
    """Top-k routing: tokens are picked, and what comes of them is added back."""

    def __init__(self, n=3):
        super().__init__()
        self.embed, self.router = nn.Linear(5, 6), nn.Linear(6, n)
        self.up = nn.ModuleList(nn.Linear(6, 8) for _ in range(n))
        self.down = nn.ModuleList(nn.Linear(8, 6) for _ in range(n))
        self.hidden, self.head = nn.Linear(6, 10), nn.Linear(10, 2)

    def forward(self, x):
        h = self.embed(x)
        weights, chosen = self.router(h).softmax(-1).topk(2, -1)
        out = torch.zeros_like(h)
        for i, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
            token, place = torch.where(chosen == i)
            given = down(F.gelu(up(h[token]))) * weights[token, place, None]
            out.index_add_(0, token, given)
        return self.head(F.relu(self.hidden(h + out)))


def test_experts_with_routing_keep_the_router_and_lose_hidden_units():
    torch.manual_seed(0)
    sparsifier = sparsify(Experts(), torch.randn(16, 5), Params(0.7))
    names = {group.name for group in sparsifier.structure.groups}
    assert {"up.0", "up.1", "up.2", "hidden"} <= names
    assert any("router" in left.name for left in sparsifier.structure.left_out)
    sparsifier.compact()


class Loop(nn.Module):
    """Repeats a step while a number of its own data says so."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 8), nn.Linear(8, 12), nn.Linear(12, 2)

    def forward(self, x):
        h = self.a(x)
        while h.norm() > 1:
            h = h * 0.5
        return self.c(F.relu(self.b(h)))


def test_units_that_a_loop_looks_at_are_left_out_with_the_reason():
    structure = sparsify(Loop(), torch.randn(2, 5), Params(0.9)).structure
    assert [group.name for group in structure.groups] == ["b"]
    assert "which way" in {left.name: left.reason for left in structure.left_out}["a"]
