"""Every kind of layer: removed is the same as closed, and counts are real."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from l0.common.errors import InputError
from l0.layers import L0Conv2d, L0DepthwiseConv2d, L0Linear
from l0.networks import LayerType, Macs, Params, Units, load, save, sparsify
from tests.networks.training import measured


class SqueezeExcite(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.down, self.up = nn.Linear(n, 4), nn.Linear(4, n)

    def forward(self, x):
        return x * self.up(F.relu(self.down(x.mean((2, 3))))).sigmoid()[:, :, None, None]


class Dense(nn.Module):
    """Concatenates what it gets and what it makes of it."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)

    def forward(self, x):
        return torch.cat([x, self.conv(x)], 1)


class Twice(nn.Module):
    """Uses one layer two times."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.last = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.last(self.again(self.again(self.first(x)).tanh()))


def head(n, n_out=3):
    return [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * n, n_out)]


ODD = {
    "conv1d": (
        nn.Sequential(
            nn.Conv1d(2, 6, 3), nn.BatchNorm1d(6), nn.ReLU(), nn.Conv1d(6, 5, 3, padding=1),
            nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(5, 2),
        ),
        (2, 2, 9),
    ),
    "conv3d": (
        nn.Sequential(
            nn.Conv3d(1, 4, 2), nn.BatchNorm3d(4), nn.Conv3d(4, 6, 2), nn.Flatten(),
            nn.Linear(6 * 8, 2),
        ),
        (2, 1, 4, 4, 4),
    ),
    "transposed": (
        nn.Sequential(
            nn.Conv2d(2, 6, 3), nn.ReLU(), nn.ConvTranspose2d(6, 8, 4, stride=2), nn.ReLU(),
            nn.ConvTranspose2d(8, 4, 3, groups=2), nn.PReLU(4), nn.Conv2d(4, 2, 1),
        ),
        (2, 2, 8, 8),
    ),
    "grouped": (
        nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 12, 3, groups=4), nn.ReLU(),
            nn.Conv2d(12, 6, 1, groups=2), *head(6),
        ),
        (2, 3, 8, 8),
    ),
    "depthwise multiplier": (
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 12, 3, groups=4), nn.ReLU(), *head(12)),
        (2, 3, 6, 6),
    ),
    "norms": (
        nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.GroupNorm(4, 8), nn.ReLU(), nn.Conv2d(8, 6, 3),
            nn.InstanceNorm2d(6, affine=True, track_running_stats=True), nn.PReLU(6), *head(6),
        ),
        (2, 3, 8, 8),
    ),
    "squeeze and excite": (
        nn.Sequential(nn.Conv2d(3, 8, 3), SqueezeExcite(8), nn.Conv2d(8, 6, 1), *head(6)),
        (2, 3, 6, 6),
    ),
    "concatenated": (
        nn.Sequential(nn.Conv2d(3, 4, 1), Dense(4, 3), Dense(7, 3), nn.BatchNorm2d(10), *head(10)),
        (2, 3, 6, 6),
    ),
    "pixel shuffle": (
        nn.Sequential(nn.Conv2d(3, 8, 1), nn.PixelShuffle(2), nn.ReLU(), nn.Conv2d(2, 3, 1)),
        (2, 3, 4, 4),
    ),
    "used twice": (Twice(), (2, 5)),
    "gates of their own": (
        nn.Sequential(
            L0Conv2d(2, 6, 3, structured=True), nn.ReLU(), L0DepthwiseConv2d(6, 3),
            L0Conv2d(6, 5, 1), *head(5, 8), nn.ReLU(), L0Linear(8, 7), L0Linear(7, 2),
        ),
        (2, 2, 8, 8),
    ),
}  # fmt: skip


@pytest.mark.parametrize("budget", [Params(0.7), Macs(0.7)], ids=lambda b: b.measure)
@pytest.mark.parametrize("name", ODD)
def test_removed_is_the_same_as_closed(name, budget):
    torch.manual_seed(5)
    model, shape = ODD[name]

    model = copy.deepcopy(model).double().eval()
    for module in model.modules():  # norms that do nothing would hide a mistake
        for tensor in (getattr(module, "running_mean", None), getattr(module, "bias", None)):
            if tensor is not None:
                nn.init.normal_(tensor)
    inputs = torch.randn(shape, dtype=torch.float64)
    sparsifier = sparsify(model, inputs, budget)
    left_out = {left.name for left in sparsifier.structure.left_out}
    assert len(left_out) == 1, sparsifier.structure.left_out  # the last layer
    with torch.no_grad():
        for gate in sparsifier.gates:
            gate.gate.v.uniform_(0.3, 1.2)
    small = sparsifier.compact()
    assert torch.allclose(model(inputs), small(inputs), atol=1e-10)
    assert not torch.equal(sparsifier.gates.alive(), torch.ones_like(sparsifier.gates.alive()))
    (constraint,) = sparsifier.constraints
    cost = float(constraint.cost(sparsifier.gates.alive()))
    assert cost == measured(small, inputs, budget.measure) <= constraint.limit


class Bag(nn.Module):
    """Embeddings that meet no norm."""

    def __init__(self, embedding):
        super().__init__()
        self.embedding, self.hidden, self.last = embedding, nn.Linear(6, 8), nn.Linear(8, 2)

    def forward(self, tokens):
        x = self.embedding(tokens)
        return self.last(self.hidden(x if x.ndim == 2 else x.mean(1)).relu())


@pytest.mark.parametrize(
    "make", [nn.Embedding, nn.EmbeddingBag, lambda n, d: nn.Embedding(n, d, padding_idx=0)]
)
def test_embeddings_lose_dimensions(make):
    torch.manual_seed(0)
    model, tokens = Bag(make(9, 6)).double(), torch.randint(0, 9, (3, 5))
    sparsifier = sparsify(model, tokens, Params(0.5))
    assert [group.name for group in sparsifier.structure.groups] == ["embedding", "hidden"]
    small = sparsifier.compact()
    assert small.embedding.embedding_dim < 6
    assert torch.allclose(model.eval()(tokens), small.eval()(tokens), atol=1e-12)
    assert sum(p.numel() for p in small.parameters()) <= sparsifier.constraints[0].limit


def small_language_models():
    transformers = pytest.importorskip("transformers")
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 50}
    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    return {
        "gpt2": lambda: transformers.GPT2LMHeadModel(
            transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=50, **special)
        ),
        "bert": lambda: transformers.BertForSequenceClassification(
            transformers.BertConfig(hidden_size=32, intermediate_size=48, **sizes)
        ),
        "llama": lambda: transformers.LlamaForCausalLM(
            transformers.LlamaConfig(
                hidden_size=32, intermediate_size=48, num_key_value_heads=2, **sizes, **special
            )
        ),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "heads"), [("gpt2", 4), ("bert", 4), ("llama", 2)])
def test_heads_and_hidden_units_of_language_models(name, heads):
    torch.manual_seed(0)
    model = small_language_models()[name]().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.1, 0.3)
    inputs = {"input_ids": torch.randint(3, 50, (2, 9))}
    with torch.no_grad():
        before = model(**inputs).logits
    sparsifier = sparsify(model, inputs, Params(0.7))
    units = {group.name: group.n_units for group in sparsifier.structure.groups}
    attention = [n for name, n in units.items() if "attn" in name or "attention.self" in name]
    assert attention == [heads, heads]
    for gate in sparsifier.gates:
        gate.alive[::2] = False
    small = sparsifier.compact()
    with torch.no_grad():
        gated, found = model(**inputs).logits, small(**inputs).logits
    assert not torch.allclose(before, gated, atol=0.1)
    assert torch.allclose(gated, found, atol=1e-4)
    assert sum(p.numel() for p in small.parameters()) <= sparsifier.constraints[0].limit


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["gpt2", "bert", "llama"])
def test_language_models_are_saved_and_generate(name, tmp_path):
    torch.manual_seed(0)
    make = small_language_models()[name]
    model, inputs = make().eval(), {"input_ids": torch.randint(3, 50, (2, 9))}
    small = sparsify(model, inputs, Params(0.7)).compact().eval()
    save(small, tmp_path / "small.pt")
    loaded = load(make(), tmp_path / "small.pt").eval()
    assert torch.equal(small(**inputs).logits, loaded(**inputs).logits)
    if name != "bert":
        options = {"max_new_tokens": 4, "do_sample": False}
        found, expected = (m.generate(inputs["input_ids"], **options) for m in (loaded, model))
        assert torch.equal(found, expected)


class Bilinear(nn.Module):
    """A layer that the package does not know: two weights, and hidden channels of its own."""

    def __init__(self, n_in, hidden, n_out):
        super().__init__()
        self.hidden = hidden
        self.up = nn.Parameter(torch.randn(2 * hidden, n_in))
        self.down, self.shift = (
            nn.Parameter(torch.randn(n_out, hidden)),
            nn.Parameter(torch.randn(n_out)),
        )

    def forward(self, x):
        a, b = (x @ self.up.T).split(self.hidden, -1)
        return (a * b) @ self.down.T + self.shift


BILINEAR = LayerType(
    Bilinear,
    "dense",
    {"up": ("inner", "in"), "down": ("out", "inner"), "shift": ("out",)},
    reads={"up": 1, "down": 1},
    sizes={"hidden": "inner"},
)


def bilinear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), Bilinear(6, 8, 5), nn.ReLU(), nn.Linear(5, 2)).double()


@pytest.mark.parametrize("budget", [Params(0.5), Macs(0.5), Units(9)], ids=lambda b: b.measure)
def test_a_layer_that_is_taught_loses_channels_of_every_side(budget):
    model, x = bilinear(), torch.randn(3, 4, dtype=torch.float64)
    names = ["0", "1", "1"]
    sparsifier = sparsify(model, x, budget, layer_types=[BILINEAR])
    assert sorted(group.name for group in sparsifier.structure.groups) == sorted(
        [*names[:2], "1 #2"]
    )
    small = sparsifier.compact()
    assert torch.allclose(model.eval()(x), small(x), atol=1e-10)
    if budget.measure == "params":
        assert sum(p.numel() for p in small.parameters()) <= sparsifier.constraints[0].limit
    assert sparsify(bilinear(), x, Units(9), layer_types=[BILINEAR], granularity="unit")
    structure = sparsify(bilinear(), x, Params(0.9), layer_types=[BILINEAR]).structure
    untaught = "a layer of the type Bilinear keeps its size"
    assert untaught not in {left.reason for left in structure.left_out}
    with pytest.raises(InputError, match=untaught):
        sparsify(bilinear(), x, Params(0.9))


def test_a_taught_norm_computes_over_its_open_channels():
    class Centre(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.by = nn.Parameter(torch.randn(n))

        def forward(self, x):
            return (x - x.mean(-1, keepdim=True)) * self.by

    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 9), Centre(9), nn.Linear(9, 2)), torch.randn(3, 4)
    centre = LayerType(Centre, "through", {"by": ("in",)}, over_channels=True)
    sparsifier = sparsify(model, x, Units(5), layer_types=[centre])
    small = sparsifier.compact()
    assert len(small[1].by) == 5
    assert torch.allclose(model(x), small(x), atol=1e-6)
    model(x).sum().backward()
    assert int((model[1].by.grad != 0).sum()) == 5


def test_a_wrong_description_leaves_the_channels_out():
    wrong = LayerType(Bilinear, "through", {"shift": ("in",)})
    model = nn.Sequential(nn.Linear(4, 5), Bilinear(5, 8, 5), nn.Linear(5, 2))
    with pytest.raises(InputError, match="no unit that can be removed"):
        sparsify(model, torch.randn(3, 4), Units(5), layer_types=[wrong])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"role": "norm"}, "`role` is 'norm'; give 'dense'"),
        ({"axes": {"up": ("hidden", "in")}}, "`axes` says 'hidden' of 'up'; each axis is"),
        ({"axes": {"up": ("in", "out", "inner")}}, "`axes` names three axes of 'up'"),
        ({"role": "through", "axes": {"up": ("out",)}}, "channels that pass through a layer are"),
        ({"axes": {"up": ("in", None)}, "reads": {"up": 1}}, "`reads` names axis 1 of 'up'"),
        ({"axes": {"left": ("in",)}}, "`axes` names 'left', but a Bilinear has no such"),
        ({"axes": {"up": ("in",)}}, r"`axes` names 1 axes of 'up', but .* the shape \(16, 6\)"),
    ],
)
def test_bad_descriptions_are_named_with_the_remedy(arguments, message):
    with pytest.raises(InputError, match=message):
        kind = LayerType(Bilinear, **{"role": "dense", "axes": {}, **arguments})
        sparsify(
            bilinear(), torch.randn(3, 4, dtype=torch.float64), Params(0.5), layer_types=[kind]
        )


def test_types_are_layer_types():
    with pytest.raises(InputError, match="`layer_types` must hold LayerType"):
        sparsify(bilinear(), torch.randn(3, 4), Params(0.5), layer_types=[Bilinear])
