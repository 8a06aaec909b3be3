"""nn.MultiheadAttention taken apart, and its heads removed."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from l0.networks import Attention, Macs, Params, Units, load, save, sparsify
from l0.networks.graph.attention import can_open, open_attention
from l0.networks.graph.dependencies import find_units
from tests.networks.training import measured, train

CAUSAL = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
PADDED = torch.tensor([[False] * 6, [False] * 4 + [True] * 2])


def pair(**options):
    """An attention with weights that are not zero anywhere, and the same taken apart."""
    torch.manual_seed(0)
    packed = nn.MultiheadAttention(12, 3, dtype=torch.float64, **options)
    for parameter in packed.parameters():
        nn.init.normal_(parameter, std=0.5)
    return packed, Attention(copy.deepcopy(packed))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(
    ("options", "masks"),
    [
        ({}, {}),
        ({"bias": False}, {"attn_mask": CAUSAL, "is_causal": True, "self": True}),
        ({"kdim": 7, "vdim": 4}, {"key_padding_mask": PADDED}),
        ({}, {"attn_mask": torch.eye(5, 6).bool(), "key_padding_mask": PADDED}),
        ({}, {"attn_mask": torch.randn(6, 5, 6, dtype=torch.float64)}),
        ({}, {"attn_mask": CAUSAL, "is_causal": True, "self": True, "average_attn_weights": False}),
    ],
    ids=["plain", "causal", "padded", "both", "by head", "weights by head"],
)
def test_taken_apart_it_is_the_same(options, masks, batch_first, need_weights, training):
    packed, apart = pair(batch_first=batch_first, **options)
    masks = dict(masks)
    query = torch.randn(2, 5, 12, dtype=torch.float64)
    key, value = (torch.randn(2, 6, packed_dim, dtype=torch.float64) for packed_dim in (
        packed.kdim, packed.vdim,
    ))  # fmt: skip
    if masks.pop("self", False):
        key = value = query
    if not batch_first:
        query, key, value = (x.transpose(0, 1) for x in (query, key, value))
    inputs = (query, key, value)
    expected = packed.train(training)(*inputs, need_weights=need_weights, **masks)
    found = apart.train(training)(*inputs, need_weights=need_weights, **masks)
    assert torch.allclose(expected[0], found[0])
    assert (found[1] is None) == (not need_weights)
    if need_weights:
        assert torch.allclose(expected[1], found[1])


def test_without_a_batch():
    packed, apart = pair()
    x, mask = torch.randn(6, 12, dtype=torch.float64), PADDED[1]
    expected, found = (f(x, x, x, key_padding_mask=mask) for f in (packed, apart))
    assert all(torch.allclose(a, b) for a, b in zip(expected, found, strict=True))


def test_masks_that_do_not_fit_are_refused():
    _, apart = pair()
    x = torch.randn(5, 2, 12, dtype=torch.float64)
    with pytest.raises(ValueError, match="`attn_mask` has 4 masks for 2 x 3 heads"):
        apart(x, x, x, attn_mask=torch.zeros(4, 5, 5))
    with pytest.raises(ValueError, match="give that mask too"):
        apart(x, x, x, is_causal=True)


def test_no_random_number_is_drawn_and_frozen_parameters_stay_frozen():
    torch.manual_seed(0)
    model = nn.Sequential(nn.MultiheadAttention(8, 2))
    model[0].in_proj_weight.requires_grad_(False)
    state = torch.get_rng_state()
    open_attention(model)
    assert torch.equal(state, torch.get_rng_state())
    assert not model[0].k_proj.weight.requires_grad
    assert model[0].k_proj.bias.requires_grad


@pytest.mark.parametrize(
    "hold",
    [
        lambda one: [one],
        lambda one: {"a": (one,)},
        lambda one: [(one, "x")],
        lambda one: SimpleNamespace(one=one),
    ],
)
def test_an_attention_that_a_plain_attribute_holds_stays_as_it_is(hold):
    model = nn.Sequential(nn.Linear(4, 4))
    model.attention = nn.MultiheadAttention(4, 2)
    assert can_open(model)
    model.also = hold(model.attention)
    assert not can_open(model)


def test_one_attention_used_in_two_places_stays_one():
    shared = nn.MultiheadAttention(8, 2)
    model = open_attention(nn.ModuleDict({"a": shared, "b": shared}))
    assert isinstance(model["a"], Attention)
    assert model["a"] is model["b"]


class Special(nn.MultiheadAttention):
    """May do something else."""


def hooked():
    module = nn.MultiheadAttention(8, 2)
    module.register_forward_hook(lambda *_: None)
    return module


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.MultiheadAttention(8, 2, add_bias_kv=True),
        lambda: nn.MultiheadAttention(8, 2, add_zero_attn=True),
        lambda: Special(8, 2),
        hooked,
    ],
)
def test_what_cannot_be_taken_apart_is_left_out(make):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    layer.self_attn = make()
    model = nn.Sequential(nn.Linear(3, 8), layer, nn.Linear(8, 2))
    assert not can_open(model)
    names = [group.name for group in find_units(model, torch.randn(2, 5, 3)).groups]
    assert names == ["1.linear1"]


class Torch(nn.Module):
    """A classifier made of torch's own transformer layers."""

    def __init__(self, norm_first=False, heads=4):
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        layer = nn.TransformerEncoderLayer(
            16, heads, 24, dropout=0.0, batch_first=True, norm_first=norm_first
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=not norm_first)
        self.head = nn.Linear(16, 4)

    def forward(self, tokens, padding=None):
        x = self.encoder(self.embed(tokens), src_key_padding_mask=padding)
        return self.head(x).mean(1)


class Translator(nn.Module):
    """Encoder and decoder, in torch's own order of axes, with masks."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.transformer = nn.Transformer(16, 4, 1, 1, 24, dropout=0.0)
        self.head = nn.Linear(16, 4)

    def forward(self, tokens):
        x = self.embed(tokens).transpose(0, 1)
        mask = nn.Transformer.generate_square_subsequent_mask(len(x), dtype=x.dtype)
        x = self.transformer(x, x, tgt_mask=mask, tgt_is_causal=True)
        return self.head(x.mean(0))


MODELS = {"post": Torch, "pre": lambda: Torch(True), "translator": Translator}


def made(name):
    torch.manual_seed(2)
    model = MODELS[name]().double()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, 0.5, 0.5)
    return model, torch.randint(0, 20, (3, 7))


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("gates", ["hadamard", "hard_concrete"])
@pytest.mark.parametrize("budget", [Params(0.5), Macs(0.5)], ids=lambda budget: budget.measure)
@pytest.mark.parametrize("name", MODELS)
def test_heads_and_hidden_units_go(name, budget, gates):
    model, inputs = made(name)
    with torch.no_grad():
        before = model.eval()(inputs)
    sparsifier = sparsify(model, inputs, budget, gates=gates, total_steps=10)
    units = {group.name: group.n_units for group in sparsifier.structure.groups}
    heads = {name: n for name, n in units.items() if "q_proj" in name}
    assert len(heads) == (3 if name == "translator" else 2)
    assert set(heads.values()) == {4}
    with torch.no_grad():
        assert torch.allclose(before, model.eval()(inputs), atol=1e-10)
    train(model.train(), inputs, sparsifier, 5)
    sparsifier.finish()
    small = sparsifier.compact()
    (constraint,) = sparsifier.constraints
    cost = float(constraint.cost(sparsifier.gates.alive()))
    assert cost == measured(small, inputs, budget.measure) <= constraint.limit
    with torch.no_grad():
        assert torch.allclose(model.eval()(inputs), small.eval()(inputs), atol=1e-10)
    small.train()(inputs).sum().backward()


@pytest.mark.parametrize("name", ["encoder.layers.0.self_attn", "encoder.layers.1.linear1"])
def test_gates_act_in_evaluation_mode_too(name):
    model, inputs = made("post")
    sparsifier = sparsify(model, inputs, Params(0.99), include=name)
    padding = torch.zeros(3, 7, dtype=torch.bool)
    padding[:, -2:] = True
    with torch.inference_mode():
        before = [model.eval()(inputs, mask) for mask in (None, padding)]
        sparsifier.gates[0].alive[1] = False
        after = [model(inputs, mask) for mask in (None, padding)]
    assert not any(torch.allclose(a, b) for a, b in zip(before, after, strict=True))
    small = sparsifier.compact().eval()
    with torch.inference_mode():
        pairs = [(model(inputs, mask), small(inputs, mask)) for mask in (None, padding)]
    assert all(torch.allclose(gated, found) for gated, found in pairs)


def test_a_mask_for_each_head_keeps_the_heads():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.head = nn.Linear(8, 6)
            self.last = nn.Linear(6, 2)

        def forward(self, x):
            mask = torch.zeros(len(x) * 2, x.shape[1], x.shape[1])
            return self.last(self.head(self.attention(x, x, x, attn_mask=mask)[0]).relu())

    sparsifier = sparsify(Masked(), torch.randn(2, 5, 8), Units(4))
    reasons = {left.name.split(",")[0]: left.reason for left in sparsifier.structure.left_out}
    assert "give one of shape (L, S)" in reasons["attention.q_proj"]


def test_compact_transformers_are_saved_and_exported(tmp_path):
    model, inputs = made("pre")
    small = sparsify(model, inputs, Params(0.5)).compact().eval()
    save(small, tmp_path / "small.pt")
    loaded = load(MODELS["pre"]().double(), tmp_path / "small.pt").eval()
    expected = small(inputs)
    assert torch.equal(expected, loaded(inputs))
    assert str(small) == str(loaded)
    program = torch.export.export(small, (inputs,))
    assert torch.allclose(program.module()(inputs), expected)


@pytest.mark.filterwarnings("ignore")
def test_compact_transformers_go_to_onnx():
    pytest.importorskip("onnxscript")
    reference = pytest.importorskip("onnx.reference")
    model, inputs = made("post")
    small = sparsify(model.float(), inputs, Params(0.5)).compact().eval()
    program = torch.onnx.export(small, (inputs,), dynamo=True, verbose=False)
    session = reference.ReferenceEvaluator(program.model_proto)
    (found,) = session.run(None, {session.input_names[0]: inputs.numpy()})
    assert torch.allclose(torch.from_numpy(found), small(inputs), atol=1e-5)
