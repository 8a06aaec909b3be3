"""Trials find what differs, whatever the precision, the inputs, the mode or the form of outputs."""

import itertools
import time
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from l0.common.errors import InputError
from l0.networks import Latency, Params, sparsify
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


class Squashed(nn.Module):
    """A table that is changed by reading it, because no row may be longer than 1."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(9, 8, max_norm=1.0)
        self.hidden, self.last = nn.Linear(8, 6), nn.Linear(6, 2)

    def forward(self, tokens):
        return self.last(F.relu(self.hidden(self.table(tokens))))


def test_a_model_that_changes_its_own_weights_hides_nothing():
    torch.manual_seed(0)
    structure = sparsify(Squashed(), torch.randint(9, (2, 5)), Params(0.9)).structure
    assert [group.name for group in structure.groups] == ["hidden"]
    assert "changes the output" in {left.name: left.reason for left in structure.left_out}["table"]


class Ordered(nn.Module):
    """Code that counts on the order of the parameters of a layer, which gates change."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 6), nn.Linear(6, 7), nn.Linear(7, 2)

    def forward(self, x):
        weight, _ = self.b.parameters()
        assert weight.ndim == 2
        return self.c(F.relu(self.b(F.relu(self.a(x)))))


def test_units_with_which_the_gated_model_does_not_run_are_left_out():
    torch.manual_seed(0)
    structure = sparsify(Ordered(), torch.randn(2, 5), Params(0.9)).structure
    assert [group.name for group in structure.groups] == ["b"]
    reasons = {left.name: left.reason for left in structure.left_out}
    assert "does not run with gates" in reasons["a"]


def test_complex_numbers_stay_complex(recwarn):
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(5, 6), nn.Linear(6, 2)
            self.register_buffer("turn", torch.polar(torch.ones(1), torch.ones(1)))

        def forward(self, x):
            return self.last((self.first(x) * self.turn).imag)

    model, x = Turned(), torch.randn(2, 5)
    small = sparsify(model, x, Params(0.5)).compact()
    assert small.first.out_features < 6
    assert not [str(warning.message) for warning in recwarn]
    assert torch.allclose(small(x), model.eval()(x), atol=1e-6)


@pytest.mark.parametrize(
    "form",
    [lambda x: torch.fft.fft(x).conj(), lambda x: x.to(torch.float8_e4m3fn)],
    ids=["conjugate", "float8"],
)
def test_outputs_of_rare_forms_are_compared(form):
    class Formed(nn.Sequential):
        def forward(self, x):
            return form(super().forward(x))

    torch.manual_seed(0)
    model = Formed(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    structure = sparsify(model, torch.randn(2, 5), Params(0.9)).structure
    assert [group.name for group in structure.groups] == ["0"]
    with pytest.raises(InputError, match="no unit that can be removed"):
        sparsify(Formed(Shuffled()), torch.randn(2, 5), Params(0.9))


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
        lambda loss, f: (loss, f.shape[-1]),
        lambda loss, f: (loss, {"features": f.detach().numpy()}),
        lambda loss, f: (loss, f.detach().numpy().sum()),
        lambda loss, f: (loss, iter([f])),
        lambda loss, f: (loss, (row for row in f)),
    ],
    ids=[
        "dataclass",
        "object",
        "nested",
        "number",
        "whole number",
        "NumPy",
        "NumPy's number",
        "iterator",
        "generator",
    ],
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


class Counted(nn.Module):
    """Runs a number of times only, its copies included."""

    def __init__(self, runs, code):
        super().__init__()
        self.a, self.b, self.code = nn.Linear(5, 8), nn.Linear(8, 2), code
        Counted.left = runs

    def forward(self, x):
        Counted.left -= 1
        if Counted.left < 0:
            raise EOFError("all is read")
        return self.code(self.b(F.relu(self.a(x))))


@pytest.mark.parametrize(
    ("runs", "code", "message"),
    [
        (2, lambda y: y, "ran once, but not on a copy of it.* EOFError: all is read; give a"),
        (10**6, lambda y: y * torch.inf, "an output without a single finite number"),
        (10**6, lambda y: (y, torch.full((3,), -torch.inf)), "an output without a single finite"),
    ],
    ids=["runs twice", "infinite", "a mask"],
)
def test_a_model_that_gives_nothing_to_compare_is_refused(runs, code, message):
    with pytest.raises(InputError, match=message):
        sparsify(Counted(runs, code), torch.randn(2, 5), Params(0.9))


class Cast(nn.Module):
    """Casts to a precision that is written in the code, or to that of a layer."""

    def __init__(self, fixed):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 16), nn.Linear(16, 20).bfloat16(), nn.Linear(20, 3)
        self.fixed = fixed

    def forward(self, x):
        wide = torch.bfloat16 if self.fixed else self.b.weight.dtype
        hidden = self.b(self.a(x).relu().to(wide)).relu()
        return self.c(hidden.to(torch.float32 if self.fixed else self.c.weight.dtype))


def test_a_cast_that_no_trial_can_follow_is_named():
    with pytest.raises(
        InputError, match=r"own precisions \(torch.bfloat16, torch.float32\).*casts"
    ):
        sparsify(Cast(fixed=True), torch.randn(2, 5), Params(0.6))
    small = sparsify(Cast(fixed=False), torch.randn(2, 5), Params(0.6)).compact()
    assert small(torch.randn(2, 5)).isfinite().all()


class ThreeLayers(nn.Module):
    """Two groups, and outputs of any form. The code may divide by the width that it sees."""

    def __init__(self, form, by_width=False):
        super().__init__()
        self.form, self.by_width = form, by_width
        self.a, self.b, self.c = nn.Linear(5, 16), nn.Linear(16, 16), nn.Linear(16, 40)

    def forward(self, x):
        hidden = F.relu(self.b(F.relu(self.a(x))))
        if self.by_width:
            hidden = hidden / hidden.shape[1] ** 0.5
        return self.form(self.c(hidden))


@pytest.mark.parametrize("number", [-1e2, -1e4, -1e9, torch.finfo(torch.float32).min, -torch.inf])
@pytest.mark.parametrize(
    "write",
    [
        lambda x, mask, to: x.masked_fill(mask, to),
        lambda x, mask, to: x + torch.where(mask, to, 0.0),
    ],
    ids=["written", "added"],
)
def test_masked_outputs_do_not_hide_the_others(write, number):
    torch.manual_seed(0)
    model = ThreeLayers(lambda y: write(y, torch.arange(40) >= 30, number), by_width=True)
    structure = sparsify(model, torch.randn(4, 5), Params(0.9)).structure
    assert [group.name for group in structure.groups] == ["a"]


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


def test_a_generator_of_the_model_draws_what_it_always_draws():
    class Seeded(nn.Sequential):
        def forward(self, x):
            hidden = self[1](self[0](x).relu()).relu()
            generator = torch.Generator().manual_seed(0)
            return self[2](hidden * torch.randn(hidden.shape[1], generator=generator))

    model = Seeded(nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 2))
    structure = sparsify(model, torch.randn(2, 5), Params(0.9)).structure
    assert [group.name for group in structure.groups] == ["0"]


NOISE = torch.Generator()


@pytest.mark.parametrize(
    "form",
    [
        lambda y: (y, y[y > 0.05]),
        lambda y: [row for row in y.flatten() if row > 0.05],
        lambda y: (y, time.time_ns(), 2**70, itertools.count()),
        lambda y: (300 * y.to(torch.float32)).softmax(-1),
        lambda y: F.relu(y),
        lambda y: y + torch.randn(y.shape, generator=NOISE),
    ],
    ids=["values", "number of values", "clock", "softmax", "zeros", "noise"],
)
def test_outputs_of_any_form_keep_the_units(form, recwarn):
    torch.manual_seed(0)
    sparsifier = sparsify(ThreeLayers(form), torch.randn(4, 5), Params(0.9))
    assert [group.name for group in sparsifier.structure.groups] == ["a", "b"]
    sparsifier.compact()
    assert not [str(warning.message) for warning in recwarn]


def test_labels_alone_are_compared_with_a_warning():
    class Labels(nn.Sequential):
        def forward(self, x):
            return super().forward(x).argmax(1)

    with pytest.warns(UserWarning, match="returns whole numbers only"):
        sparsify(
            Labels(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)), torch.randn(4, 5), Params(0.9)
        )


def test_example_inputs_stay_as_they_are():
    class InPlace(nn.Sequential):
        def forward(self, x):
            return super().forward(x.div_(255.0))

    x = torch.rand(2, 5)
    before = x.clone()
    sparsifier = sparsify(
        InPlace(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2)), x, [Params(0.5), Latency(ms=100)]
    )
    sparsifier.observe(x)
    sparsifier.report()
    sparsifier.compact()
    assert torch.equal(x, before)


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
