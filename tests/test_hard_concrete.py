import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from l0.hard_concrete import HardConcrete, hard_concrete, logistic_noise

TEMPERATURES = [0.1, 0.5, 2 / 3, 2.0]
LOGITS = [-3.0, -1.0, 0.0, 2.0]
HALF = [torch.bfloat16, torch.float16]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def seeded(seed=0, device="cpu"):
    return torch.Generator(device).manual_seed(seed)


def gates_at(logits, dtype=torch.float32, **kwargs):
    logits = torch.as_tensor(logits, dtype=dtype)
    gates = HardConcrete(len(logits), **kwargs).to(dtype)
    gates.qz_logits.data.copy_(logits)
    return gates


def quantile(u, logit, temperature, stretch):
    """The value below which a share u of the distribution lies, written out once more."""
    s = expit((np.log(u) - np.log1p(-u) + logit) / temperature)
    return np.clip(s * (1 + 2 * stretch) - stretch, 0, 1)


# The distribution


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("stretch", [0.1, 0.4])
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("logit", LOGITS)
def test_samples_have_the_distribution_of_the_closed_forms(logit, temperature, stretch, device):
    n = 40_000
    gates = gates_at(torch.full((n,), logit), temperature=temperature, stretch=stretch).to(device)
    z = gates(generator=seeded(device=device)).detach().double().cpu()
    shift = temperature * math.log(stretch / (1 + stretch))
    p_zero, p_one = expit(shift - logit), expit(shift + logit)
    values = quantile((np.arange(100_000) + 0.5) / 100_000, logit, temperature, stretch)

    assert z.min() >= 0 and z.max() <= 1
    for share, p in [
        ((z == 0).double().mean(), p_zero),
        ((z == 1).double().mean(), p_one),
        ((z > 0).double().mean(), gates.get_active_prob()[0].item()),
    ]:
        assert share == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / n) + 1e-6)
    assert z.mean() == pytest.approx(values.mean(), abs=5 * values.std() / math.sqrt(n) + 1e-6)
    assert gates.get_active_prob()[0].item() == pytest.approx(1 - p_zero, rel=1e-5)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_evaluation_gives_the_median(temperature):
    gates = gates_at(LOGITS, temperature=temperature).eval()
    median = quantile(0.5, np.array(LOGITS), temperature, 0.1)
    np.testing.assert_allclose(gates().detach(), median, atol=1e-6)
    torch.testing.assert_close(gates(), gates(), rtol=0, atol=0)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_gates_are_open_exactly_where_that_is_more_likely_than_not(temperature):
    edge = temperature * math.log(0.1 / 1.1)  # P(open) = 1/2
    gates = gates_at(edge + torch.tensor([-1.0, -1e-3, 1e-3, 1.0]), temperature=temperature)
    assert gates.get_open().tolist() == [False, False, True, True]
    assert (gates.get_active_prob() > 0.5).tolist() == [False, False, True, True]
    assert (gates.eval()() > 0).tolist() == [False, False, True, True]
    assert gates.get_num_active() == 2


@given(u=st.floats(0.001, 0.999), logit=st.floats(-8, 8), temperature=st.floats(0.05, 3))
@settings(deadline=None)
def test_formula_against_the_quantile_function(u, logit, temperature):
    noise = torch.tensor([math.log(u) - math.log1p(-u)], dtype=torch.float64)
    z = hard_concrete(torch.tensor([logit], dtype=torch.float64), noise, temperature, -0.1, 1.1)
    assert z.item() == pytest.approx(quantile(u, logit, temperature, 0.1), abs=1e-9)


# Penalty, statistics, gradients


@given(
    logits=st.lists(st.floats(-10, 10), min_size=1, max_size=8),
    temperature=st.floats(0.05, 3),
    stretch=st.floats(0.01, 1),
)
@settings(deadline=None, max_examples=40)
def test_penalty_gradient_is_p_times_1_minus_p(logits, temperature, stretch):
    gates = gates_at(logits, torch.float64, temperature=temperature, stretch=stretch)
    penalty = gates.get_penalty()
    (gradient,) = torch.autograd.grad(penalty, gates.qz_logits)
    p = gates.get_active_prob().detach()
    torch.testing.assert_close(penalty.detach(), p.sum())
    torch.testing.assert_close(gradient, p * (1 - p), rtol=1e-7, atol=1e-12)
    assert gates.get_sparsity() == pytest.approx(1 - p.mean().item())


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_gradients_agree_with_finite_differences(temperature):
    gates = HardConcrete(50, temperature=temperature).double()
    logits = torch.linspace(-3, 3, 50, dtype=torch.float64, requires_grad=True)

    def evaluate(method):
        def of(x):
            return torch.func.functional_call(Call(gates, method), {"gates.qz_logits": x}, ())

        return torch.autograd.gradcheck(of, logits)

    assert evaluate(lambda g: g(generator=seeded()))
    assert evaluate(lambda g: g.get_penalty())
    gates.eval()
    assert evaluate(lambda g: g())


class Call(torch.nn.Module):
    """A method of the gates as a forward pass, which is what functional_call takes."""

    def __init__(self, gates, method):
        super().__init__()
        self.gates, self.method = gates, method

    def forward(self):
        return self.method(self.gates)


def test_statistics_before_training():
    gates = HardConcrete(1000)
    p = expit(0.5 * math.log(11))  # sigmoid(0 - temperature log(0.1 / 1.1)): about 0.77
    assert gates.get_penalty().item() == pytest.approx(1000 * p, rel=1e-5)
    assert gates.get_sparsity() == pytest.approx(1 - p, rel=1e-5)
    assert gates.get_num_active() == 1000


def test_descent_on_the_penalty_closes_every_gate():
    gates = HardConcrete(20, init_mean=0.9)
    optimiser = torch.optim.Adam(gates.parameters(), lr=0.3)
    for _ in range(60):
        optimiser.zero_grad()
        gates.get_penalty().backward()
        optimiser.step()
    assert gates.get_num_active() == 0
    assert not gates.eval()().any()


# Random numbers


@pytest.mark.parametrize("device", DEVICES)
def test_generator_gives_the_sample_and_spares_the_global_one(device):
    gates = HardConcrete(100).to(device)
    before = torch.get_rng_state()
    first, again = gates(generator=seeded(3)), gates(generator=seeded(3))
    other = gates(generator=seeded(4))
    assert torch.equal(before, torch.get_rng_state())
    assert first.device.type == device
    assert torch.equal(first, again) and not torch.equal(first, other)
    torch.testing.assert_close(first.cpu(), gates.cpu()(generator=seeded(3)))


def test_one_generator_gives_a_new_sample_each_time():
    gates, generator = HardConcrete(100), seeded()
    assert not torch.equal(gates(generator=generator), gates(generator=generator))


def test_without_a_generator_the_global_one_is_used():
    gates = HardConcrete(100)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        first, second = gates(), gates()
        torch.manual_seed(5)
        assert torch.equal(first, gates())
    assert not torch.equal(first, second)


def test_evaluation_draws_nothing():
    gates, generator = HardConcrete(10).eval(), seeded()
    before, state = torch.get_rng_state(), generator.get_state()
    gates(generator=generator)
    gates()
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(state, generator.get_state())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("u", [0.0, 1.0])
def test_noise_is_finite_at_both_ends_of_the_uniform(monkeypatch, u, dtype):
    monkeypatch.setattr(torch, "rand", lambda shape, dtype, **_: torch.full(shape, u, dtype=dtype))
    noise = logistic_noise(torch.zeros(4, dtype=dtype))
    assert noise.isfinite().all()
    assert (noise.sign() == (1 if u else -1)).all()


# Numbers that are hard to hold


@given(
    logits=st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=8),
    dtype=st.sampled_from([torch.float64, torch.float32, *HALF]),
    temperature=st.sampled_from([0.01, 0.5, 5.0]),
    training=st.booleans(),
)
@settings(deadline=None)
def test_values_and_gradients_stay_finite(logits, dtype, temperature, training):
    gates = gates_at([-1e4, *logits, 1e4], dtype, temperature=temperature).train(training)
    z = gates(generator=seeded())
    penalty = gates.get_penalty()
    (z.sum() + penalty).backward()
    assert z.dtype == gates.qz_logits.grad.dtype == dtype
    assert (z[0], z[-1]) == (0, 1)
    for x in (z, penalty, gates.get_active_prob(), gates.qz_logits.grad):
        assert x.isfinite().all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", HALF)
def test_half_precision_has_the_statistics_of_float32(dtype, device):
    n = 200_000
    gates = HardConcrete(n).to(dtype).to(device)
    z = gates(generator=seeded())
    p = expit(0.5 * math.log(11))
    assert z.dtype == dtype
    assert (z > 0).double().mean().item() == pytest.approx(p, abs=0.005)
    assert gates.get_penalty().item() == pytest.approx(n * p, rel=1e-4)  # infinite in float16


# Shapes, state, settings


@pytest.mark.parametrize(
    ("arguments", "input_shape", "shape"),
    [
        ((5,), None, (5,)),
        ((5, 3), None, (5, 3)),
        ((5,), (5,), (5,)),
        ((5,), (5, 3, 2, 2), (5, 1, 1, 1)),
        ((5, 3), torch.Size([5, 3, 2, 2]), (5, 3, 1, 1)),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_shapes(arguments, input_shape, shape, training):
    gates = HardConcrete(*arguments).train(training)
    assert gates.gate_size == gates.qz_logits.shape == arguments
    assert gates(input_shape).shape == shape
    assert gates.get_active_prob().shape == gates.get_open().shape == arguments
    assert gates.get_penalty().shape == ()


@pytest.mark.parametrize(
    ("arguments", "input_shape"),
    [((3,), (1, 3)), ((3,), (2, 3)), ((5, 3), (5, 2)), ((5, 3), (3, 5, 2)), ((5, 3), (5,))],
)
def test_an_input_whose_first_axes_are_not_those_of_the_gates_is_refused(arguments, input_shape):
    """A product of shape (3, 3) came of an input of shape (1, 3)."""
    with pytest.raises(ValueError, match=r"`input_shape` is \(.*must be those of the gates, \("):
        HardConcrete(*arguments)(input_shape)


@pytest.mark.parametrize(
    ("arguments", "shape"), [((1,), (4, 3)), ((1, 3), (4, 3)), ((4, 1), (4, 3, 2)), ((4,), (4,))]
)
def test_a_product_has_the_shape_of_the_input(arguments, shape):
    assert (HardConcrete(*arguments)(shape) * torch.ones(shape)).shape == shape


def test_settings_are_attributes():
    gates = HardConcrete(4, temperature=0.3, stretch=0.2, init_mean=0.9)
    assert (gates.temperature, gates.stretch, gates.init_mean) == (0.3, 0.2, 0.9)
    assert (gates.gamma, gates.zeta) == (-0.2, 1.2)
    torch.testing.assert_close(gates.qz_logits.sigmoid(), torch.full((4,), 0.9))
    assert repr(gates) == (
        "HardConcrete(gate_size=(4,), temperature=0.3, stretch=0.2, init_mean=0.9)"
    )


def test_n_items_is_another_name_for_input_dim():
    assert HardConcrete(n_items=7).gate_size == HardConcrete(input_dim=7).gate_size == (7,)
    assert HardConcrete(n_items=7, output_dim=2).gate_size == (7, 2)
    assert HardConcrete(np.int64(7)).gate_size == (7,)


def test_temperature_can_be_set_after_construction():
    gates = gates_at([1.0]).eval()
    gates.temperature = 2.0
    assert gates().item() == pytest.approx(quantile(0.5, 1.0, 2.0, 0.1))
    assert gates.get_penalty().item() == pytest.approx(expit(1 + 2 * math.log(11)))


def test_reset_parameters_starts_again():
    gates = gates_at([5.0, -5.0], init_mean=0.2)
    gates.reset_parameters()
    torch.testing.assert_close(gates.qz_logits.sigmoid(), torch.full((2,), 0.2))


def test_state_dict_round_trip():
    gates, other = gates_at(LOGITS), HardConcrete(len(LOGITS))
    assert list(gates.state_dict()) == ["qz_logits"]
    other.load_state_dict(gates.state_dict())
    assert torch.equal(gates(generator=seeded()), other(generator=seeded()))


def test_deepcopy_is_equal_and_independent():
    gates = gates_at(LOGITS, temperature=0.3)
    twin = copy.deepcopy(gates)
    assert torch.equal(gates(generator=seeded()), twin(generator=seeded()))
    twin.temperature = 1.0
    twin.qz_logits.data.zero_()
    assert gates.temperature == 0.3
    assert gates.qz_logits.tolist() == LOGITS


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "exactly one of `input_dim` and `n_items`, got neither"),
        ({"input_dim": 3, "n_items": 3}, "exactly one of `input_dim` and `n_items`, got both"),
        ({"input_dim": 0}, "`input_dim` must be an integer of at least 1, got 0"),
        ({"input_dim": 2.0}, "`input_dim` must be an integer of at least 1, got 2.0"),
        ({"n_items": -1}, "`n_items` must be an integer of at least 1, got -1"),
        ({"input_dim": 3, "output_dim": 0}, "`output_dim` must be an integer of at least 1"),
        ({"input_dim": 3, "temperature": 0}, "`temperature` must be positive and finite, got 0"),
        ({"input_dim": 3, "temperature": math.inf}, "`temperature` must be positive and finite"),
        ({"input_dim": 3, "temperature": math.nan}, "`temperature` must be positive and finite"),
        ({"input_dim": 3, "stretch": 0}, "`stretch` must be positive and finite, got 0"),
        ({"input_dim": 3, "stretch": -0.1}, "`stretch` must be positive and finite, got -0.1"),
        ({"input_dim": 3, "init_mean": 0}, "`init_mean` must lie strictly between 0 and 1, got 0"),
        ({"input_dim": 3, "init_mean": 1}, "`init_mean` must lie strictly between 0 and 1, got 1"),
        ({"input_dim": 3, "init_mean": math.nan}, "`init_mean` must lie strictly between 0 and 1"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        HardConcrete(**kwargs)


def test_a_bad_temperature_is_refused_later_too():
    gates = HardConcrete(3)
    with pytest.raises(ValueError, match="`temperature` must be positive and finite, got -1"):
        gates.temperature = -1
    assert gates.temperature == 0.5
