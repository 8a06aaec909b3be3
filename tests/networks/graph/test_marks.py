"""Marks reach exactly the channels that depend on them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from l0.networks.graph.marks import NUMBERS, OUTPUT, STEERS, Replay
from l0.networks.graph.passes import recorded
from tests.networks.nets import NETS


class Between(nn.Module):
    """Two layers of six channels with any code between them."""

    def __init__(self, code):
        super().__init__()
        self.first, self.second, self.code = nn.Linear(4, 6), nn.Linear(6, 2), code

    def forward(self, x):
        return self.second(self.code(self.first(x)))


THREES = {0, 1, 2}, {3, 4, 5}


def replay(model, inputs):
    return Replay(recorded(model, inputs).tapes[0])


def reached(marks, place):
    return set(marks[place].nonzero().flatten().tolist()) if place in marks else set()


def one(i, n=6):
    return torch.arange(n) == i


@pytest.mark.parametrize(
    "code",
    [
        lambda x: F.rrelu(x, training=True),
        lambda x: F.rrelu(x),
        lambda x: F.rrelu_(x.clone(), training=True),
        lambda x: torch.bernoulli(x.sigmoid()),
        lambda x: torch.bernoulli(x.sigmoid(), 0.5),
        lambda x: torch.empty_like(x).bernoulli_(x.sigmoid()),
        lambda x: (0 * x).bernoulli_(x.roll(1, -1).roll(-1, -1).sigmoid()),
        lambda x: torch.poisson(x.exp()),
        lambda x: torch.binomial(torch.full_like(x, 9), x.sigmoid()),
        lambda x: torch.normal(x, 1.0),
        lambda x: torch.normal(0.0, x.exp()),
        lambda x: torch.distributions.Gamma(x.exp(), 1.0, validate_args=False).rsample(),
    ],
)
def test_a_mark_goes_through_draws_of_each_entry(code):
    marks = replay(Between(code), torch.randn(2, 4)).from_place("first", one(1))
    assert reached(marks, "second") == {1}


def test_a_draw_in_place_forgets_the_marks_that_were_there():
    marks = replay(Between(lambda x: (2 * x).bernoulli_(torch.full((6,), 0.5))), torch.randn(2, 4))
    assert not reached(marks.from_place("first", one(1)), "second")


@pytest.mark.parametrize("i", range(6))
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (F.gelu, lambda i: {i}),
        (lambda x: x.roll(2, -1), lambda i: {(i + 2) % 6}),
        (lambda x: x - x.flip(-1), lambda i: {i, 5 - i}),
        (lambda x: x.unflatten(1, (2, 3)).softmax(-1).flatten(1), lambda i: THREES[i // 3]),
        (lambda x: F.layer_norm(x, (6,)), lambda i: {*range(6)}),
        (lambda x: x * torch.tensor([1.0, 0, 1, 0, 1, 0]), lambda i: {i}),
        (lambda x: x[:, [0, 1, 2, 0, 1, 2]], lambda i: {i, i + 3} if i < 3 else set()),
        (lambda x: x.to(torch.float8_e4m3fn).to(x.dtype), lambda i: {i}),
    ],
    ids=["pointwise", "moved", "subtracted", "softmax", "norm", "times zero", "dropped", "float8"],
)  # fmt: skip
def test_a_mark_reaches_what_depends_on_its_channel(code, expected, i):
    marks = replay(Between(code), torch.randn(2, 4)).from_place("first", one(i))
    assert reached(marks, "second") == expected(i)
    assert not reached(marks, "first")
    assert not marks[OUTPUT]  # the second layer stops marks


def test_marks_of_the_last_layer_reach_the_output_and_marked_inputs_the_first():
    x = torch.randn(3, 12)
    found = replay(NETS["mlp"][0](), x)
    assert found.from_place("4", one(1, 4))[OUTPUT]
    marks = found.from_tensors([x])
    assert reached(marks, "0") == {*range(12)}
    assert not reached(marks, "2")


def test_marks_of_a_parameter_reach_what_it_scales():
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))
    model.scale = nn.Parameter(torch.ones(4))
    model.forward = lambda x: model[1](model[0](x * model.scale))
    marks = replay(model, torch.randn(2, 4)).from_tensors([model.scale])
    assert reached(marks, "0") == {0, 1, 2, 3} and not reached(marks, "1")
    assert torch.equal(model.scale, torch.ones(4))


@pytest.mark.parametrize("name", NETS)
def test_runs_do_not_depend_on_earlier_ones_and_leave_the_record_alone(name):
    torch.manual_seed(0)
    model, inputs = (make() for make in NETS[name])
    passes = recorded(model, inputs)
    found = Replay(passes.tapes[0])
    layer, layout = next(iter(passes.layouts.items()))
    mark = one(0, layout.n_out)
    before = found.from_place(layer, mark)
    nothing = found.from_place(layer, torch.zeros_like(mark))
    assert not any(mark.any() for mark in nothing.values())
    after = found.from_place(layer, mark)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def in_place(x):
    x = x.clone()
    x[:, 3:] += x[:, :3].relu_()
    return x


def written(x):
    buffer = torch.zeros(len(x), 6)
    buffer[:, 1:3] = x[:, :2]
    return buffer


def rotated(x):
    turned = torch.view_as_complex(x.unflatten(1, (3, 2))) * (1 + 2j)
    return torch.view_as_real(turned).flatten(1)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(in_place, {1, 4}), (written, {2}), (rotated, {0, 1})],
    ids=["in place", "buffer", "complex"],
)
def test_memory_that_is_shared_or_changed(code, expected):
    marks = replay(Between(code), torch.randn(2, 4)).from_place("first", one(1))
    assert reached(marks, "second") == expected


@pytest.mark.parametrize(
    ("code", "steers"),
    [
        (lambda x: x * F.one_hot(x.argmax(1), 6), True),
        (lambda x: x.gather(1, x.topk(6, 1).indices), True),
        (lambda x: x[:, (x > -9e9).all(0)], True),
        (lambda x: x[:, x.isfinite().all(0)], True),
        (lambda x: x * x.isfinite().sum().reciprocal(), False),
        (lambda x: torch.where(x > 0, x, x / 2), False),
        (lambda x: F.max_pool1d(x[:, None], 1).flatten(1), False),
        (lambda x: x + x.max(1, keepdim=True).values, False),
    ],
)
def test_channels_that_decide_the_way_of_other_data(code, steers):
    marks = replay(Between(code), torch.randn(2, 4)).from_place("first", one(1))
    assert bool(marks.get(STEERS, torch.zeros(1)).any()) == steers


def only_if(holds):
    """Make code that asserts what it is given of its input."""

    def code(x):
        assert holds(x)
        return x

    return code


@pytest.mark.parametrize(
    ("holds", "is_number"),
    [
        (lambda x: x.norm() < 1e9, True),
        (lambda x: (x > -9e9).all() & x.isfinite().all(), True),
        (lambda x: x.abs().mean().item() < 1e9, True),
        (lambda x: x.isfinite().sum().item() == 12, True),
        (lambda x: torch.equal(x, x.clone()), True),
        (lambda x: x.isfinite().all(), False),
        (lambda x: not x.isnan().any() and not x.sum().isinf(), False),
        (lambda x: not (x.isposinf() | x.isneginf()).any(), False),
        (lambda x: (x == x).logical_and(x != torch.inf).all().item(), False),
    ],
)
def test_channels_that_become_numbers_of_python(holds, is_number):
    """Truth values that only tell whether numbers are finite do so at every width."""
    marks = replay(Between(only_if(holds)), torch.randn(2, 4)).from_place("first", one(1))
    assert (NUMBERS in marks) == is_number
    assert STEERS not in marks
    assert reached(marks, "second") == {1}


def test_sums_between_layers_stop_marks():
    model, inputs = (make() for make in NETS["transformer"])
    passes = recorded(model, inputs)
    tape = passes.tapes[0]
    sums = [i for i, event in enumerate(tape.events) if event.cut_axis is not None]
    assert len(sums) == 4
    marks = Replay(tape).from_place("layers.0.down", one(3, 12))
    assert reached(marks, sums[1]) == {3}
    assert not any(reached(marks, name) for name in passes.layouts)


def test_an_input_whose_entries_share_memory_is_marked():
    x = torch.randn(1, 4).expand(3, 4)
    marks = replay(Between(F.relu), x).from_tensors([x])
    assert reached(marks, "first") == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("code", "is_across"),
    [
        (lambda x: x.mT, True),
        (lambda x: F.layer_norm(x, (6,)).mT, False),
        (lambda x: x.softmax(-1), False),
        (lambda x: x, False),
    ],
    ids=["transposed", "mixed and transposed", "mixed", "plain"],
)
def test_layers_along_another_axis(code, is_across):
    found = replay(Between(code), torch.randn(2, 6, 4)).across("first", 2, 6, 6)
    assert found == ({"second"} if is_across else set())
