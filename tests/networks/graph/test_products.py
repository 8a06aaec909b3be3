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


def test_a_product_with_a_parameter_is_none():
    class Times(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.by = nn.Linear(4, 6), nn.Parameter(torch.ones(6, 2))

        def forward(self, x):
            return self.layer(x) @ self.by

    assert recorded(Times(), torch.ones(2, 4)).products == {}
