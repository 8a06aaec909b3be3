"""Products of two activations are counted as PyTorch counts them, in models of any width."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import l0
from l0.networks.budgets.cost import count
from l0.networks.graph.passes import recorded
from tests.networks.nets import NETS
from tests.networks.training import measured


class Grouped(nn.Module):
    """Attention in which two heads of the queries share one of the keys and values."""

    def __init__(self, width=16, heads=4, size=3):
        super().__init__()
        self.heads, self.size = heads, size
        self.q = nn.Linear(width, heads * size)
        self.k = nn.Linear(width, heads // 2 * size)
        self.v = nn.Linear(width, heads // 2 * size)
        self.out = nn.Linear(heads * size, width)

    def forward(self, x):
        q, k, v = (
            layer(x).unflatten(-1, (-1, self.size)).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        k, v = (t.repeat_interleave(2, dim=1) for t in (k, v))
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).flatten(2))


def encoder():
    layer = nn.TransformerEncoderLayer(16, 4, 24, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


MODELS = {
    "transformer": NETS["transformer"],
    "encoder": (encoder, lambda: torch.randn(3, 7, 16)),
    "grouped": (lambda: nn.Sequential(Grouped(), Grouped()), lambda: torch.randn(2, 5, 16)),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_the_multiply_adds_are_those_that_pytorch_counts(name, share):
    torch.manual_seed(0)
    model, inputs = (make() for make in MODELS[name])
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        sparsifier = l0.sparsify(model, inputs, l0.Macs(share))
        assert sparsifier.structure.products
        small = sparsifier.compact()
        counted = count(small, "macs", sparsifier.structure)
        assert counted == measured(small, inputs, "macs")
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)
    cost, gates = sparsifier.constraints[0].cost, sparsifier.gates
    assert float(cost(gates.alive())) == counted


def test_a_model_without_products_has_none():
    model, inputs = (make() for make in NETS["resnet"])
    assert recorded(model, inputs).products == {}


class Times(nn.Module):
    """A product with a parameter from the right, or from the left."""

    def __init__(self, left=False):
        super().__init__()
        self.layer, self.left = nn.Linear(4, 6), left
        self.by = nn.Parameter(torch.randn(*((5, 5) if left else (6, 2))))
        self.inner = nn.Linear(6 if left else 2, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        x = self.layer(x)
        return self.last(self.inner(self.by @ x if self.left else x @ self.by))


class Crossed(nn.Module):
    """Attention to keys and values of another width, which one function computes."""

    def __init__(self):
        super().__init__()
        self.before, self.after = nn.Linear(8, 8), nn.Linear(8, 12)
        self.attention = nn.MultiheadAttention(8, 2, kdim=4, vdim=4, batch_first=True)
        self.last = nn.Linear(12, 3)

    def forward(self, x):
        x = self.before(x)
        y, _ = self.attention(x, x[..., :4], x[..., :4])
        return self.last(torch.relu(self.after(y)))


class Random(nn.Module):
    """Random features: a fixed projection whose rows are channels of the layer before."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(64, 3)
        self.register_buffer("by", torch.randn(8, 64))

    def forward(self, x):
        return self.last(torch.cos(self.first(x) @ self.by))


def normed(layer):
    return nn.utils.parametrizations.weight_norm(layer)


WITH_PARAMETERS = {
    "right": (Times, lambda: torch.randn(2, 5, 4)),
    "left": (lambda: Times(left=True), lambda: torch.randn(2, 5, 4)),
    "random": (Random, lambda: torch.randn(2, 6)),
    "crossed": (Crossed, lambda: torch.randn(2, 5, 8)),
    "weight norm": (
        lambda: nn.Sequential(
            nn.Linear(4, 9), nn.ReLU(), normed(nn.Linear(9, 7)), nn.Linear(7, 8), nn.Linear(8, 3)
        ),
        lambda: torch.randn(2, 4),
    ),
    "convolution": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3),
            normed(nn.ConvTranspose2d(8, 6, 3, 2)),
            nn.Conv2d(6, 9, 1),
            nn.Conv2d(9, 4, 1),
        ),
        lambda: torch.randn(2, 3, 7, 7),
    ),
    "first": (
        lambda: nn.Sequential(normed(nn.Linear(4, 9)), nn.Linear(9, 7), nn.Linear(7, 3)),
        lambda: torch.randn(2, 4),
    ),
}


@pytest.mark.parametrize("name", WITH_PARAMETERS)
@pytest.mark.parametrize("share", [1.0, 0.7])
def test_no_multiply_adds_escape_a_budget(name, share):
    torch.manual_seed(0)
    model, inputs = (make() for make in WITH_PARAMETERS[name])
    full = measured(model, inputs, "macs")
    sparsifier = l0.sparsify(model, inputs, l0.Macs(share))
    assert sparsifier.constraints[0].cost.total == full
    small = sparsifier.compact()
    assert measured(small, inputs, "macs") <= share * full
    counted = count(small, "macs", sparsifier.structure)
    assert counted == measured(small, inputs, "macs")
