"""Models as users write them: each works exactly, or says what is in the way and what to do."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils._pytree import tree_leaves

from l0.common.errors import InputError
from l0.networks import Bytes, Macs, Params, sparsify
from l0.networks.graph.tensors import call


class UNet(nn.Module):
    """Down and up again, with skips that are concatenated."""

    def __init__(self, norm=nn.BatchNorm2d):
        super().__init__()

        def block(n_in, n_out):
            conv = nn.Conv2d(n_in, n_out, 3, padding=1)
            return nn.Sequential(conv, norm(n_out), nn.ReLU(inplace=True))

        self.down1, self.down2, self.middle = block(1, 4), block(4, 8), block(8, 12)
        self.up2, self.join2 = nn.ConvTranspose2d(12, 8, 2, 2), block(16, 8)
        self.up1, self.join1 = nn.ConvTranspose2d(8, 4, 2, 2), block(8, 4)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        one = self.down1(x)
        two = self.down2(F.max_pool2d(one, 2))
        x = self.middle(F.max_pool2d(two, 2))
        x = self.join2(torch.cat([self.up2(x), two], 1))
        return self.last(self.join1(torch.cat([self.up1(x), one], 1)))


class ViT(nn.Module):
    """A class token, positions, and attention as torch has it."""

    def __init__(self, width=16, heads=4):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 5, width))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.up, self.down = nn.Linear(width, 24), nn.Linear(24, width)
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.places
        h = self.norm1(x)
        x = x + self.attention(h, h, h, need_weights=False)[0]
        return self.head((x + self.down(F.gelu(self.up(self.norm2(x)))))[:, 0])


class Waves(nn.Module):
    """Convolutions of a signal, norms of groups, a shortcut."""

    def __init__(self):
        super().__init__()
        self.a, self.norm_a = nn.Conv1d(2, 12, 5, padding=2), nn.GroupNorm(4, 12)
        self.b, self.norm_b = nn.Conv1d(12, 16, 3, padding=2, dilation=2), nn.GroupNorm(16, 16)
        self.c, self.last = nn.Conv1d(16, 16, 3, padding=1), nn.Linear(16, 3)

    def forward(self, x):
        x = F.silu(self.norm_b(self.b(F.silu(self.norm_a(self.a(x))))))
        return self.last((x + self.c(x)).mean(-1))


class Words(nn.Module):
    """A recurrent layer between layers that are known."""

    def __init__(self):
        super().__init__()
        self.embed, self.before = nn.Embedding(30, 12), nn.Linear(12, 6)
        self.lstm = nn.LSTM(6, 8, batch_first=True, bidirectional=True)
        self.after, self.last = nn.Linear(16, 12), nn.Linear(12, 3)

    def forward(self, tokens):
        x, _ = self.lstm(self.before(self.embed(tokens)))
        return self.last(F.relu(self.after(x.mean(1))))


class Tied(nn.Module):
    """Reads and writes with one table."""

    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Embedding(30, 12), nn.Linear(12, 30, bias=False)
        self.up, self.down = nn.Linear(12, 24), nn.Linear(24, 12)
        self.out.weight = self.embed.weight

    def forward(self, tokens):
        x = self.embed(tokens)
        return self.out(x + self.down(F.relu(self.up(x))))


class Mixed(nn.Module):
    """Several inputs by name, several outputs in a dict."""

    def __init__(self):
        super().__init__()
        self.image, self.norm = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8)
        self.table, self.both = nn.Linear(5, 8), nn.Linear(16, 12)
        self.kind, self.size = nn.Linear(12, 3), nn.Linear(12, 2)

    def forward(self, image, table, scale=None):
        x = torch.cat([self.norm(self.image(image)).mean((2, 3)), self.table(table)], 1)
        x = F.relu(self.both(x))
        return {"kind": self.kind(x), "others": [self.size(x)], "scale": scale, "note": "as it is"}


def normed():
    return nn.Sequential(
        nn.Conv1d(2, 12, 3), nn.ReLU(), nn.Conv1d(12, 10, 3), nn.ReLU(),
        parametrizations.weight_norm(nn.Conv1d(10, 8, 3)), nn.ReLU(), nn.Conv1d(8, 6, 1),
        parametrizations.spectral_norm(nn.Conv1d(6, 4, 1)), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip


MODELS = {
    "u-net": (UNet, lambda: torch.randn(2, 1, 8, 8)),
    "u-net, group norm": (
        lambda: UNet(lambda n: nn.GroupNorm(2, n)), lambda: torch.randn(2, 1, 8, 8),
    ),
    "vision transformer": (ViT, lambda: torch.randn(2, 3, 8, 8)),
    "signal": (Waves, lambda: torch.randn(2, 2, 12)),
    "recurrent": (Words, lambda: torch.randint(0, 30, (2, 5))),
    "tied": (Tied, lambda: torch.randint(0, 30, (2, 5))),
    "several inputs": (
        Mixed, lambda: {"image": torch.randn(2, 1, 6, 6), "table": torch.randn(2, 5)},
    ),
    "computed weights": (normed, lambda: torch.randn(2, 2, 8)),
}  # fmt: skip

#: Units that must have gates, and what must be named as left out.
EXPECTED = {
    "u-net": ({"down1.0", "middle.0", "up2", "join1.0"}, {"last"}),
    "u-net, group norm": ({"down1.0", "middle.0", "up2", "join1.0"}, {"last"}),
    "vision transformer": (
        {"attention.q_proj, attention.k_proj, attention.v_proj", "up"},
        {"patches, attention.out_proj, down, token, places", "head"},
    ),
    "signal": ({"a", "b, c"}, {"last"}),
    "recurrent": ({"embed", "before", "lstm", "after"}, {"last"}),
    "tied": ({"up"}, {"embed, down", "out"}),
    "several inputs": ({"image", "table", "both"}, {"kind", "size"}),
    "computed weights": ({"0"}, {"2", "4", "6", "7", "9"}),
}


def double(example_inputs):
    if isinstance(example_inputs, dict):
        return {key: double(x) for key, x in example_inputs.items()}
    return example_inputs.double() if example_inputs.is_floating_point() else example_inputs


def tensors(out):
    return [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]


def worst(model, small, inputs):
    """The largest difference between the outputs of two models."""
    with torch.no_grad():
        pairs = zip(*(tensors(call(m.eval(), inputs)) for m in (model, small)), strict=True)
        return max(float((a - b).abs().max()) for a, b in pairs)


@pytest.mark.parametrize(
    ("budget", "training"),
    [(Params(0.92), True), (Macs(0.94), False)],
    ids=["params, training", "macs, evaluation"],
)
@pytest.mark.parametrize("name", MODELS)
def test_they_work_exactly_and_name_what_stays(name, budget, training):
    torch.manual_seed(7)
    model, inputs = (make() for make in MODELS[name])
    model, inputs = model.double().train(training), double(inputs)
    sparsifier = sparsify(model, inputs, budget, total_steps=10)
    assert model.training == training
    gated, left_out = EXPECTED[name]
    assert gated <= {group.name for group in sparsifier.structure.groups}
    assert left_out == {left.name for left in sparsifier.structure.left_out}
    optimizer = torch.optim.Adam(sparsifier.param_groups(lr=1e-3))
    for _ in range(8):
        out = tensors(call(model, inputs))
        (sum(x.square().mean() for x in out) + sparsifier.penalty()).backward()
        optimizer.step()
        sparsifier.step()
        optimizer.zero_grad()
    small = sparsifier.compact()
    assert worst(model, small, inputs) < 1e-10
    (constraint,) = sparsifier.constraints
    cost = float(constraint.cost(sparsifier.gates.alive()))
    assert cost <= constraint.limit < constraint.cost.total
    if budget.measure == "params":
        assert cost == sum(p.numel() for p in small.parameters())
    assert str(sparsifier.report(latency=False))


def test_parametrizations_of_the_user_stay():
    torch.manual_seed(0)
    model, inputs = (make() for make in MODELS["computed weights"])
    small = sparsify(model, inputs, Params(0.9)).compact()
    derived = [n for n, m in small.named_modules() if parametrize.is_parametrized(m)]
    assert derived == ["4", "7"]
    assert not any(parametrize.is_parametrized(small[i]) for i in (0, 2, 6, 9))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["u-net", "vision transformer"])
def test_half_precision(name, dtype):
    torch.manual_seed(0)
    model, inputs = (make() for make in MODELS[name])
    model, inputs = model.to(dtype), inputs.to(dtype)
    sparsifier = sparsify(model, inputs, Bytes(0.8), total_steps=10)
    optimizer = torch.optim.SGD(sparsifier.param_groups(lr=1e-3))
    for _ in range(8):
        (model(inputs).float().square().mean() + sparsifier.penalty()).backward()
        optimizer.step()
        sparsifier.step()
        optimizer.zero_grad()
    small = sparsifier.compact()
    assert worst(model, small, inputs) < 1e-2
    assert {p.dtype for p in small.parameters()} == {dtype}
    n_bytes = sum(t.numel() * t.element_size() for t in (*small.parameters(), *small.buffers()))
    assert n_bytes <= sparsifier.constraints[0].limit


class Gaussian(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.mean, self.log_scale = nn.Linear(5, 8), nn.Linear(8, 2), nn.Linear(8, 2)

    def forward(self, x):
        h = F.relu(self.hidden(x))
        return torch.distributions.Normal(self.mean(h), self.log_scale(h).exp())


class GaussianOfFeatures(Gaussian):
    """Builds a distribution from what its layers give, and uses the weight of a layer itself."""

    def forward(self, x):
        h = F.relu(self.hidden(x))
        # Said here: other packages switch the default off for the whole process.
        made = torch.distributions.Normal(h, torch.ones_like(h), validate_args=True)
        return made.mean @ self.mean.weight.T


class Hidden(nn.Module):
    """Layers with code between them that may hide NaN."""

    def __init__(self, code):
        super().__init__()
        self.code = code
        self.a, self.b, self.c = nn.Linear(5, 8), nn.Linear(8, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.c(F.relu(self.b(self.code(self.a(x)))))


def hooked(wrap):
    def make():
        model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
        wrap(model[0])
        return model

    return make


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Sequential(nn.Linear(5, 2)), "no unit that can be removed .*0: they reach"),
        (lambda: nn.Linear(5, 2), r"no unit that can be removed \(the model: they reach"),
        (nn.ReLU, "no unit that can be removed"),
        (lambda: nn.LSTM(5, 4), r"no unit .*the model: they reach the model's output"),
        (lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(5, 2))),
         "0: its parameters are computed .*remove_parametrizations"),
        (hooked(lambda m: torch.nn.utils.weight_norm(m)), r"'0.weight' in hooks; .*remove_weight_"),
        (hooked(lambda m: torch.nn.utils.spectral_norm(m)), r"'0.weight' in hooks"),
        (hooked(lambda m: prune.l1_unstructured(m, "bias", 0.5)), r"'0.bias' in hooks; .*prune"),
        (lambda: nn.Sequential(nn.LazyLinear(4)), "lazy layers"),
        (lambda: torch.jit.script(nn.Linear(5, 2)), "`model` is a RecursiveScriptModule"),
        (lambda: F.relu, "`model` is a "),
        (GaussianOfFeatures, "no unit that can be removed .*hidden: they reach the model's output"),
    ],
)  # fmt: skip
def test_what_cannot_be_handled_is_named_with_the_remedy(make, message):
    model = make()
    with pytest.raises(InputError, match=f"(?s){message}"):
        sparsify(model, torch.randn(2, 5), Params(0.5))


def test_a_distribution_is_an_output_as_a_tensor_is():
    torch.manual_seed(0)
    model, x = Gaussian(), torch.randn(2, 5)
    small = sparsify(model, x, Params(0.5)).compact()
    assert small.hidden.out_features < 8
    assert torch.allclose(small(x).scale, model.eval()(x).scale, atol=1e-6)


def test_attention_itself_is_not_taken_apart_but_inside_a_module_it_is():
    class Attends(nn.Module):
        def __init__(self, attention):
            super().__init__()
            self.attention = attention

        def forward(self, x):
            return self.attention(x, x, x)[0]

    attention, x = nn.MultiheadAttention(8, 4, batch_first=True), torch.randn(2, 5, 8)
    with pytest.raises(InputError, match="put it into a module that returns only what it attends"):
        sparsify(attention, (x, x, x), Params(0.5))
    model = Attends(attention)
    small = sparsify(model, x, Params(0.5)).compact()
    assert small.attention.num_heads < 4
    assert worst(model, small, x) < 1e-6


def test_code_that_hides_nan_is_a_possible_reason():
    structure = sparsify(Hidden(torch.nan_to_num), torch.randn(2, 5), Params(0.9)).structure
    assert [group.name for group in structure.groups] == ["b"]
    assert "nan_to_num" in {left.name: left.reason for left in structure.left_out}["a"]


def test_a_choice_between_values_hides_nothing():
    model = Hidden(lambda x: torch.where(x > 0, x, torch.zeros_like(x)))
    groups = sparsify(model, -torch.ones(2, 5), Params(0.9)).structure.groups
    assert [(group.name, group.n_units) for group in groups] == [("a", 8), ("b", 6)]


@pytest.mark.parametrize("shape", [(0, 5), (5,)])
def test_example_inputs_are_a_batch(shape):
    with pytest.raises(InputError, match="`example_inputs` has the shape .* give a batch"):
        sparsify(nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 2)), torch.randn(shape), Params(0.5))


def test_a_number_for_each_example_is_a_batch():
    class OfTime(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(1, 8), nn.Linear(8, 2)

        def forward(self, t):
            return self.b(F.relu(self.a(t[:, None])))

    model, t = OfTime(), torch.rand(3)
    sparsifier = sparsify(model, t, Macs(0.5))
    assert sparsifier.constraints[0].cost.total == 24
    assert worst(model, sparsifier.compact(), t) < 1e-6


@pytest.mark.parametrize("what", ["gates", "weights"])
def test_a_training_that_diverged_closes_nothing(what):
    model, inputs = (make() for make in MODELS["signal"])
    sparsifier = sparsify(model, inputs, Params(0.5), total_steps=10)
    before = copy.deepcopy(sparsifier.gates.alive())
    gates = {id(parameter) for parameter in sparsifier.gates.parameters()}
    with torch.no_grad():
        for parameter in model.parameters():
            if (id(parameter) in gates) == (what == "gates"):
                parameter.fill_(torch.nan)
    with pytest.raises(InputError, match="the training diverged"):
        for _ in range(6):
            sparsifier.step()
    assert torch.equal(before, sparsifier.gates.alive())
