"""Which channels go together, found by running the model."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from l0.common.errors import InputError
from l0.networks import Params, sparsify
from l0.networks.graph.dependencies import find_units
from tests.networks.nets import NETS
from tests.networks.unequal import largest_difference


def groups_of(model, *inputs):
    return find_units(model, inputs)


def test_a_residual_stream_is_one_group():
    model, inputs = (make() for make in NETS["resnet"])
    structure = find_units(model, inputs)
    found = {
        group.name: ([m.module for m in group.consumers], [m.module for m in group.through])
        for group in structure.groups
    }
    assert found["4.conv2, 4.project.0, 5.conv2"] == (
        ["5.conv1", "8"],
        ["4.bn2", "4.project.1", "5.bn2"],
    )
    assert [left.name for left in structure.left_out] == ["8"]
    assert "output" in structure.left_out[0].reason


def test_heads_are_units():
    model, inputs = (make() for make in NETS["transformer"])
    groups = {group.name: group for group in find_units(model, inputs).groups}
    a = "layers.1.attention"
    heads = groups[f"{a}.q, {a}.k, {a}.v"]
    assert heads.n_units == 3
    for member in heads.members:
        assert torch.equal(member.units, member.positions // 4)


def test_flattening_gives_each_channel_its_features():
    model, inputs = (make() for make in NETS["lenet"])
    (member,) = {g.name: g for g in find_units(model, inputs).groups}["conv2"].consumers
    assert member.module == "fc1"
    assert torch.equal(member.units, member.positions // 9)


class Glue(nn.Module):
    """Two layers and any code between them."""

    def __init__(self, first, second, between):
        super().__init__()
        self.first, self.second, self.between = first, second, between

    def forward(self, x):
        return self.second(self.between(self.first(x)))


def glued(between, n=12, n_in=12):
    torch.manual_seed(0)
    model = Glue(nn.Linear(5, n), nn.Linear(n_in, 3), between)
    return find_units(model, torch.randn(2, 5))


@pytest.mark.parametrize(
    ("between", "n_in", "unit_of"),
    [
        (lambda x: x.chunk(2, -1)[0] * x.chunk(2, -1)[1].sigmoid(), 6, lambda i: i % 6),
        (lambda x: x.view(2, 3, 4).transpose(1, 2).reshape(2, 12), 12, lambda i: i),
        (lambda x: x.unflatten(1, (3, 4)).softmax(-1).flatten(1), 12, lambda i: i // 4),
        (lambda x: F.group_norm(x, 3), 12, lambda i: i // 4),
        (lambda x: torch.cat([x, x.relu()], -1), 24, lambda i: i),
    ],
    ids=["gated", "shuffled", "softmax", "group norm", "concatenated"],
)
def test_code_between_layers(between, n_in, unit_of):
    structure = glued(between, n_in=n_in)
    (group,) = structure.groups
    (producer,) = group.producers
    expected = unit_of(producer.positions)
    same = producer.units[:, None] == producer.units
    assert torch.equal(same, expected[:, None] == expected)


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        (lambda x: F.layer_norm(x, (12,)), "can only be removed together"),
        (lambda x: x * x.norm(dim=-1, keepdim=True).reciprocal(), "can only be removed together"),
        (lambda x: x + torch.ones(12), None),
    ],
    ids=["layer norm", "norm", "constant"],
)
def test_channels_that_cannot_go(between, reason):
    structure = glued(between)
    reasons = {left.name: left.reason for left in structure.left_out}
    assert ("first" in reasons) == (reason is not None)
    if reason:
        assert reason in reasons["first"]


def test_the_model_input_keeps_its_width_and_loose_parameters_make_doubts():
    class Loose(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 6), nn.Linear(6, 2)
            self.scale = nn.Parameter(torch.ones(6))

        def forward(self, x):
            scale = self.scale * self.scale.sum()  # each number reaches all channels
            return self.c(self.b(x + self.a(x)) * scale)

    structure = find_units(Loose(), torch.randn(2, 4))
    a, b = structure.groups
    assert "the model's input" in a.doubt
    assert "parameter or buffer" in b.doubt
    with pytest.raises(InputError, match="a: they meet the model's input.*; b: they meet a param"):
        sparsify(Loose(), torch.randn(2, 4), Params(0.9))


class Graph(nn.Module):
    """Layers of a graph, whose edges are an input, and nodes that a mask leaves out."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 8), nn.Linear(8, 6), nn.Linear(6, 2)

    def forward(self, x, edges, mask):
        x = F.relu(self.a(edges @ x)) * mask
        return self.c(edges @ F.relu(self.b(edges @ x)) * mask)


def test_inputs_that_all_channels_meet_alike_do_no_harm():
    torch.manual_seed(0)
    inputs = torch.randn(7, 5), torch.rand(7, 7), torch.ones(7, 1)
    sparsifier = sparsify(Graph(), inputs, Params(0.9))
    assert [group.n_units for group in sparsifier.structure.groups] == [8, 6]
    assert largest_difference(sparsifier, inputs) < 1e-5


def test_shared_weights_and_fixed_attention_are_left_out():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.out = nn.Embedding(9, 6), nn.Linear(6, 9, bias=False)
            self.out.weight = self.embed.weight

        def forward(self, x):
            return self.out(self.embed(x))

    (left, _) = find_units(Tied(), torch.randint(0, 9, (2, 3))).left_out
    assert "share a parameter" in left.reason
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    structure = find_units(nn.Sequential(nn.Linear(3, 8), layer), torch.randn(2, 5, 3))
    assert [group.name for group in structure.groups] == ["1.linear1"]
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("called", [True, False])
def test_layers_that_share_only_their_weight_keep_it_and_the_budget_is_met(called):
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(5, 8), nn.Linear(12, 2)
            self.a, self.b, self.free = nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(2, 9)
            self.out, self.b.weight = nn.Linear(9, 2), self.a.weight

        def forward(self, x):
            x = self.first(x).relu()
            x = self.last(self.a(x) + self.b(x) if called else self.a(x))
            return self.out(self.free(x).relu())

    torch.manual_seed(0)
    x = torch.randn(2, 5)
    sparsifier = sparsify(Shared(), x, Params(0.9))
    reasons = {left.name.split(",")[0]: left.reason for left in sparsifier.structure.left_out}
    assert all("with parameters of their own" in reasons[name] for name in ("first", "a"))
    assert "free" in [group.name for group in sparsifier.structure.groups]
    small = sparsifier.compact()
    assert sum(p.numel() for p in small.parameters()) <= sparsifier.constraints[0].limit


def test_grouped_convolutions_keep_equal_groups():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Conv2d(8, 12, 3, groups=2), nn.Flatten(), nn.Linear(12, 2)
    )
    groups = {group.name: group for group in find_units(model, torch.randn(2, 3, 3, 3)).groups}
    assert groups["0"].n_units == 4
    assert groups["1"].n_units == 6
    assert torch.equal(groups["1"].producers[0].units, groups["1"].producers[0].positions % 6)


def test_a_layer_with_two_names_is_known_by_both():
    layer = nn.Linear(4, 6)
    model = nn.Sequential(layer, nn.ReLU(), nn.Linear(6, 4), nn.Sequential(layer), nn.Linear(6, 2))
    structure = sparsify(model, torch.randn(2, 4), Params(0.9)).structure
    assert [group.name for group in structure.groups] == ["0"]
    assert {left.name for left in structure.left_out} == {"2", "4"}


def test_units_of_packed_sequences():
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(5, 6), nn.Linear(8, 2)
            self.recurrent = nn.GRU(6, 8, batch_first=True)

        def forward(self, x):
            lengths = torch.tensor([4, 2])
            packed = nn.utils.rnn.pack_padded_sequence(self.first(x), lengths, batch_first=True)
            y, _ = self.recurrent(packed)
            return self.last(nn.utils.rnn.pad_packed_sequence(y, batch_first=True)[0])

    structure = find_units(Packed(), torch.randn(2, 4, 5))
    assert [group.name for group in structure.groups] == ["first", "recurrent"]


class Complex(nn.Module):
    """Layers of complex numbers, a filter of complex numbers, and code that reads their parts."""

    def __init__(self, read):
        super().__init__()
        self.first = nn.Linear(5, 6, dtype=torch.complex64)
        self.second = nn.Linear(6, 8, dtype=torch.complex64)
        self.filter = nn.Parameter(torch.randn(8, dtype=torch.complex64))
        self.last, self.read = nn.Linear(8, 2), read

    def forward(self, x):
        return self.last(self.read(self.second(self.first(x)) * self.filter))


@pytest.mark.parametrize("read", [torch.abs, torch.real, torch.imag])
def test_units_of_complex_numbers(read):
    structure = find_units(Complex(read), torch.randn(2, 5, dtype=torch.complex64))
    assert [group.name for group in structure.groups] == ["first", "second, filter"]


def test_the_model_stays_as_it_was():
    model, inputs = (make() for make in NETS["resnet"])
    model.train()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    find_units(model, inputs)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert not any("forward" in vars(module) for module in model.modules())


def test_bad_example_inputs():
    model = NETS["mlp"][0]()
    with pytest.raises(InputError, match="`example_inputs` do not run through the model"):
        find_units(model, torch.randn(2, 11))
    with pytest.raises(InputError, match="NaN"):
        find_units(model, torch.full((2, 12), torch.nan))


class Wave(nn.Module):
    """Gated convolutions, of whose last block only the skipped part is read, as in WaveNet."""

    def __init__(self, n=3):
        super().__init__()

        def layers(*args, **kwargs):
            return nn.ModuleList(nn.Conv1d(8, *args, **kwargs) for _ in range(n))

        self.start, self.end = nn.Conv1d(1, 8, 1), nn.Conv1d(12, 4, 1)
        self.filters, self.gates = layers(8, 2), layers(8, 2)
        self.residual, self.skip = layers(8, 1), layers(12, 1)

    def forward(self, x):
        x, total = self.start(x), 0
        blocks = zip(self.filters, self.gates, self.residual, self.skip, strict=True)
        for filters, gates, residual, skip in blocks:
            z = filters(x).tanh() * gates(x).sigmoid()
            x = x[..., 1:] + residual(z)
            total = skip(z) + (total[..., 1:] if torch.is_tensor(total) else 0)
        return self.end(total.relu())


def test_a_sum_that_nothing_reads_ties_its_parts():
    torch.manual_seed(0)
    x = torch.randn(2, 1, 12)
    sparsifier = sparsify(Wave(), x, Params(0.5))
    names = [group.name for group in sparsifier.structure.groups]
    assert "start, residual.0, residual.1, residual.2" in names
    assert [left.name for left in sparsifier.structure.left_out] == ["end"]
    assert largest_difference(sparsifier, x) < 1e-5


class Paired(nn.Module):
    """A layer of a type that the package does not know, between two layers that it knows."""

    def __init__(self, first=True):
        super().__init__()
        self.a, self.pair = nn.Linear(6, 9) if first else nn.Identity(), nn.Bilinear(9, 9, 7)
        self.last = nn.Linear(7, 2)

    def forward(self, x):
        x = self.a(x)
        return self.last(self.pair(x, x).relu())


def test_a_layer_of_unknown_type_whose_parameters_are_named_is_not_named_again():
    with pytest.raises(InputError, match="a, pair.weight, pair.bias: they can only be") as error:
        sparsify(Paired(), torch.randn(3, 6), Params(0.5))
    assert "Bilinear" not in str(error.value)
    structure = sparsify(Paired(first=False), torch.randn(3, 9), Params(0.5)).structure
    assert [group.name for group in structure.groups] == ["pair.weight, pair.bias"]
    assert [left.name for left in structure.left_out] == ["last"]


class GraphConvolution(nn.Module):
    """Kipf's graph convolutions, with the matrix of the graph as an input or as a buffer."""

    def __init__(self, matrix=None, residual=False):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 3)
        self.residual = residual
        self.register_buffer("matrix", matrix)

    def forward(self, x, matrix=None):
        matrix = self.matrix if matrix is None else matrix
        h = F.relu(torch.sparse.mm(matrix, self.a(x)))
        more = F.relu(torch.sparse.mm(matrix, self.b(h)))
        return torch.sparse.mm(matrix, self.c(h + more if self.residual else more))


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("form", ["to_sparse", "to_sparse_csr", "to_sparse_csc"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("is_buffer", [False, True])
def test_a_sparse_matrix_ties_the_channels_that_the_dense_one_ties(form, residual, is_buffer):
    torch.manual_seed(0)
    x, dense = torch.randn(5, 6), torch.rand(5, 5).relu() * (torch.rand(5, 5) > 0.5) + torch.eye(5)
    expected = find_units(GraphConvolution(dense, residual), x)
    matrix = getattr(dense, form)()
    model = GraphConvolution(matrix if is_buffer else None, residual)
    inputs = x if is_buffer else (x, matrix)
    sparsifier = sparsify(model, inputs, Params(0.6))
    names = [group.name for group in expected.groups]
    assert [group.name for group in sparsifier.structure.groups] == names
    assert largest_difference(sparsifier, inputs) < 1e-5


class EdgeWeights(nn.Module):
    """Layers that make the entries of a sparse matrix, and one that reads a sparse tensor."""

    def __init__(self):
        super().__init__()
        self.e, self.f = nn.Linear(2, 8), nn.Linear(8, 1)
        self.a, self.b = nn.Linear(6, 16), nn.Linear(16, 3)

    def forward(self, x, ends, features):
        weights = self.f(F.relu(self.e(features))).squeeze(-1)
        matrix = torch.sparse_coo_tensor(ends, weights, (len(x), len(x)))
        return self.b(F.relu(torch.sparse.mm(matrix, self.a(x))).to_sparse()).to_sparse()


@pytest.mark.filterwarnings("ignore:Sparse")
def test_channels_are_followed_through_sparse_tensors():
    torch.manual_seed(0)
    inputs = torch.randn(5, 6), torch.randint(0, 5, (2, 9)), torch.randn(9, 2)
    sparsifier = sparsify(EdgeWeights(), inputs, Params(0.7))
    assert [group.name for group in sparsifier.structure.groups] == ["e", "a"]
    assert sparsifier.compact() is not None


def test_sparse_parameters_are_refused_by_name():
    model = GraphConvolution()
    model.edges = nn.Parameter(torch.eye(5).to_sparse())
    with pytest.raises(InputError, match="`model` has sparse parameters, 'edges'.*buffers"):
        sparsify(model, (torch.randn(5, 6), torch.eye(5)), Params(0.6))


class Transformed(nn.Module):
    """A layer outside of torch.func, one inside, and an operation of torch inside."""

    def __init__(self, how):
        super().__init__()
        self.a, self.b, self.c, self.how = nn.Linear(6, 16), nn.Linear(16, 9), nn.Linear(9, 3), how

    def forward(self, x):
        h = torch.func.vmap(torch.relu)(self.a(x))
        if self.how == "vmap":
            return self.c(torch.func.vmap(self.b)(h))
        if self.how == "jvp":
            return self.c(torch.func.jvp(self.b, (h,), (torch.ones_like(h),))[1])
        if self.how == "weights":
            held = {"weight": torch.stack([self.b.weight, 2 * self.b.weight])}
            call = torch.func.functional_call
            return self.c(torch.func.vmap(lambda held: call(self.b, held, (h,)))(held).sum(0))
        return self.c(self.b(h))


@pytest.mark.filterwarnings("ignore:.torch.jit.script")
@pytest.mark.parametrize("how", ["vmap", "jvp", "weights"])
def test_layers_that_torch_func_calls_are_refused_by_name(how):
    with pytest.raises(InputError, match="`model` uses torch.func .* around 'b', .* whole batch"):
        find_units(Transformed(how), torch.randn(2, 6))


def test_operations_in_torch_func_are_followed():
    x = torch.randn(2, 6)
    sparsifier = sparsify(Transformed("operation"), x, Params(0.7))
    assert [group.name for group in sparsifier.structure.groups] == ["a", "b"]
    assert largest_difference(sparsifier, x) < 1e-5


class Watched(nn.Module):
    """A model that looks at its activations in one of several ways."""

    def __init__(self, look):
        super().__init__()
        self.a, self.b, self.c, self.look = (
            nn.Linear(6, 16),
            nn.Linear(16, 9),
            nn.Linear(9, 3),
            look,
        )

    def forward(self, x):
        h = self.a(x).relu()
        self.seen = self.look(h)
        return self.c(self.b(h).relu())


def test_a_guard_against_nan_leaves_no_channels_out():
    x = torch.randn(2, 6)
    sparsifier = sparsify(Watched(lambda h: bool(h.isfinite().all())), x, Params(0.7))
    assert [group.name for group in sparsifier.structure.groups] == ["a", "b"]
    assert largest_difference(sparsifier, x) < 1e-5


@pytest.mark.parametrize(
    "look",
    [lambda h: h.mean().item(), lambda h: torch.distributions.Normal(h, h.exp() + 1).mean],
    ids=["logging", "distribution"],
)
def test_channels_that_become_a_number_are_left_out_with_what_it_may_be(look):
    (left, _) = sparsify(Watched(look), torch.randn(2, 6), Params(0.9)).structure.left_out
    assert left.name == "a"
    assert ".item(), as in logging" in left.reason and "`validate_args=False`" in left.reason


class Drawn(nn.Module):
    """Three layers, of which the first is followed by a draw."""

    def __init__(self, draw):
        super().__init__()
        self.a, self.b, self.c, self.draw = (
            nn.Linear(6, 16),
            nn.Linear(16, 9),
            nn.Linear(9, 3),
            draw,
        )

    def forward(self, x):
        return self.c(self.b(self.draw(self.a(x))).relu())


@pytest.mark.parametrize(
    "draw",
    [nn.RReLU(), nn.RReLU(inplace=True), lambda h: torch.bernoulli(h.sigmoid()),
     lambda h: torch.poisson(h.exp())],
    ids=["rrelu", "in place", "bernoulli", "poisson"],
)  # fmt: skip
def test_layers_before_draws_of_each_entry_get_gates(draw):
    torch.manual_seed(0)
    structure = sparsify(Drawn(draw), torch.randn(2, 6), Params(0.8)).structure
    assert [group.name for group in structure.groups] == ["a", "b"]


class TokenMixer(nn.Module):
    """A residual stream that a layer mixes along the axis of its positions, as in MLP-Mixer."""

    def __init__(self, norm, tokens, width=16):
        super().__init__()
        self.embed, self.norm, self.tokens = nn.Linear(6, width), norm, tokens
        self.a, self.b, self.head = nn.Linear(width, 24), nn.Linear(24, width), nn.Linear(width, 3)

    def forward(self, x):
        x = self.embed(x)
        h = self.norm(x)
        is_convolution = isinstance(self.tokens[0], nn.Conv1d)
        x = x + (self.tokens(h) if is_convolution else self.tokens(h.mT).mT)
        return self.head(x + self.b(self.a(x).relu()))


@pytest.mark.parametrize("norm", [nn.Identity, lambda: nn.LayerNorm(16)], ids=["plain", "norm"])
@pytest.mark.parametrize(
    "tokens",
    [
        lambda: nn.Linear(8, 8),
        lambda: nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 8)),
        lambda: nn.Conv1d(8, 8, 1),
    ],
    ids=["linear", "two layers", "convolution"],
)
def test_a_width_that_is_mixed_along_another_axis_is_left_out_with_this_reason(norm, tokens):
    torch.manual_seed(0)
    structure = sparsify(
        TokenMixer(norm(), nn.Sequential(tokens())),
        torch.randn(2, 8, 6),
        Params(0.9),
        residual=True,
    ).structure
    reasons = {left.name: left.reason for left in structure.left_out}
    (reason,) = (reason for name, reason in reasons.items() if "embed" in name)
    assert "read by 'tokens.0" in reason and "along another axis" in reason
    assert "a" in [group.name for group in structure.groups]


@pytest.mark.parametrize(
    "between",
    [lambda x: x.softmax(-1), lambda x: F.layer_norm(x, (12,)), lambda x: x - x.mean(-1, True)],
)
def test_channels_that_are_mixed_with_each_other_are_left_out_with_that_reason(between):
    (left, _) = glued(between).left_out
    assert "mixed or normalised with each other" in left.reason
