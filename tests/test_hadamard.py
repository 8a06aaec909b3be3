import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar

from l0.hadamard import HadamardGate

DEPTHS = [2, 3, 4, 5, 6, 8]
HALF = [torch.bfloat16, torch.float16]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

depths = st.integers(2, 9)
gate_values = st.lists(st.floats(1e-6, 5), min_size=1, max_size=8)


def gate_at(z, depth, **kwargs):
    return HadamardGate(len(z), depth, init=torch.tensor(z, dtype=torch.float64), **kwargs)


# Formula and penalty


@given(v=st.lists(st.floats(-3, 3), min_size=1, max_size=8), depth=depths)
@settings(deadline=None)
def test_gate_is_the_power_of_the_absolute_value(v, depth):
    gate = HadamardGate(len(v), depth, dtype=torch.float64)
    gate.v.data.copy_(torch.tensor(v))
    np.testing.assert_allclose(gate().detach(), np.abs(gate.v.detach().numpy()) ** depth)


@pytest.mark.parametrize("depth", range(2, 14))
def test_a_gate_has_the_same_bits_wherever_it_stands(depth):
    start = torch.rand(1_000, generator=torch.Generator().manual_seed(0)) * 2

    def values(part):
        gate = HadamardGate(len(part), depth)
        with torch.no_grad():
            gate.v.copy_(part)
        z = gate()
        return torch.stack([z.detach(), *torch.autograd.grad(z.sum(), gate.v)])

    parts = torch.cat([values(part) for part in start.split(5)], dim=1)
    assert torch.equal(values(start), parts)


@given(z=gate_values, depth=depths, data=st.data())
@settings(deadline=None)
def test_penalty_is_the_quasi_norm_of_the_gates(z, depth, data):
    costs = data.draw(st.lists(st.floats(0, 100), min_size=len(z), max_size=len(z)))
    gate = gate_at(z, depth, costs=torch.tensor(costs))
    np.testing.assert_allclose(gate().detach(), z, rtol=1e-9)
    expected = np.sum(gate.costs.numpy() * np.array(z) ** (2 / depth))
    assert gate.get_penalty().item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("depth", DEPTHS)
def test_gradients_agree_with_finite_differences(depth):
    v = torch.tensor([-1.3, -0.2, 0.4, 1.7], dtype=torch.float64, requires_grad=True)
    gate = HadamardGate(4, depth, costs=torch.tensor([0.0, 1.0, 2.0, 3.0]), dtype=torch.float64)

    def values(x):
        return torch.func.functional_call(gate, {"v": x}, ())

    assert torch.autograd.gradcheck(values, v)
    gate.v.data.copy_(v.detach())
    (gradient,) = torch.autograd.grad(gate.get_penalty(), gate.v)
    torch.testing.assert_close(gradient, 2 * gate.costs * v.detach())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALF])
@pytest.mark.parametrize("depth", DEPTHS)
def test_gradient_at_zero_is_zero(depth, dtype):
    gate = HadamardGate(3, depth, init=0.0, dtype=dtype)
    (gate().sum() + gate.get_penalty()).backward()
    assert gate().tolist() == [0, 0, 0]
    assert gate.v.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize("target", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("depth", DEPTHS)
def test_descent_reaches_the_stationary_point_of_the_quasi_norm(depth, target):
    # min (z - a)^2 / 2 + lambda z^q, q = 2 / depth: at z > 0, z - a + lambda q z^(q - 1) = 0.
    penalty, q = 0.05, 2 / depth
    gate = HadamardGate(1, depth, dtype=torch.float64)
    curvature = (depth * target ** (1 - 1 / depth)) ** 2
    optimiser = torch.optim.SGD(gate.parameters(), lr=0.5 / curvature)
    for _ in range(100):
        optimiser.zero_grad()
        (0.5 * (gate() - target).square().sum() + penalty * gate.get_penalty()).backward()
        optimiser.step()

    def slope(z):
        return z - target + penalty * q * z ** (q - 1)

    # The slope has its least value where its own derivative is 0; the minimum lies beyond.
    turn = (penalty * q * (1 - q)) ** (1 / (2 - q))
    assert gate().item() == pytest.approx(brentq(slope, turn, target), rel=1e-6)


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_gate_that_does_not_pay_for_itself_closes(depth):
    gate = HadamardGate(2, depth, costs=torch.tensor([1.0, 100.0]))
    optimiser = torch.optim.Adam(gate.parameters(), lr=0.05)
    for _ in range(300):
        optimiser.zero_grad()
        (0.5 * (gate() - 1).square().sum() + 0.02 * gate.get_penalty()).backward()
        optimiser.step()
    assert gate.get_open().tolist() == [True, False]


@pytest.mark.parametrize("depth", DEPTHS)
def test_with_weight_decay_the_penalty_is_a_quasi_norm_of_the_product(depth):
    # min over z w = b of c z^(2/L) + mu w^2, against the closed form in the docstring.
    c, mu, b = 3.0, 0.1, 0.7

    def split(log_z):
        return c * math.exp(log_z * 2 / depth) + mu * (b / math.exp(log_z)) ** 2

    least = minimize_scalar(split, bounds=(-20, 20), method="bounded", options={"xatol": 1e-9})
    share = depth / (depth + 1)
    closed = (depth + 1) * (c / depth) ** share * mu ** (1 - share) * b ** (2 * (1 - share))
    assert least.fun == pytest.approx(closed, rel=1e-9)


# Construction


def test_starts_at_the_given_gate_values():
    assert HadamardGate(3)().tolist() == [1, 1, 1]
    np.testing.assert_allclose(HadamardGate(3, init=0.2)().detach(), 0.2, rtol=1e-6)
    assert (HadamardGate(3).v > 0).all()
    assert HadamardGate(np.int64(3), np.int64(4))().shape == (3,)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALF])
@pytest.mark.parametrize("device", DEVICES)
def test_dtype_and_device_follow_init(dtype, device):
    init = torch.tensor([0.5, 1.0], dtype=dtype, device=device)
    for gate in (HadamardGate(2, init=init), HadamardGate(2, dtype=dtype, device=device)):
        assert gate.v.dtype == gate().dtype == dtype
        assert gate.v.device.type == gate.costs.device.type == device
        assert gate.subset(torch.tensor([1])).v.dtype == dtype
        assert gate.get_penalty().dtype == torch.promote_types(dtype, torch.float32)


def test_arguments_are_copied():
    init, costs = torch.ones(3), torch.ones(3)
    gate = HadamardGate(3, init=init, costs=costs)
    with torch.no_grad():
        gate.v.zero_()
    gate.costs.zero_()
    assert init.tolist() == costs.tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", HALF)
def test_half_precision_counts_beyond_its_range(dtype):
    n = 1_000
    gate = HadamardGate(n, dtype=dtype, costs=torch.full((n,), 784_000.0))
    gate.get_penalty().mul(1e-6).backward()
    assert gate.get_penalty().item() == pytest.approx(784_000.0 * n, rel=1e-4)
    assert gate.v.grad.isfinite().all() and gate.v.grad.all()


# Open gates and subsets


def test_open_gates():
    gate = gate_at([0.0, 0.9e-3, 1.1e-3, 1.0], 4)
    assert gate.get_open().tolist() == [False, False, True, True]
    assert gate.get_open(0.5).tolist() == [False, False, False, True]
    assert (gate.get_num_active(), gate.get_num_active(0.5)) == (2, 1)
    assert type(gate.get_num_active()) is int


@given(data=st.data(), n=st.integers(1, 12), depth=depths)
@settings(deadline=None)
def test_subset_carries_v_and_costs(data, n, depth):
    gate = HadamardGate(n, depth, costs=torch.rand(n, generator=torch.Generator().manual_seed(n)))
    gate.v.data.copy_(torch.linspace(-1, 2, n))  # the sign of v is carried too
    positions = data.draw(st.lists(st.integers(-n, n - 1), min_size=1, max_size=2 * n))
    keep = torch.tensor(positions)
    part = gate.subset(keep)
    assert torch.equal(part.v, gate.v[keep]) and torch.equal(part.costs, gate.costs[keep])
    assert torch.equal(part(), gate()[keep])
    assert part.depth == gate.depth
    assert part.v.requires_grad and part.v.is_leaf


@given(mask=st.lists(st.booleans(), min_size=1, max_size=12).filter(any))
@settings(deadline=None)
def test_subset_by_mask_is_subset_by_position(mask):
    n, mask = len(mask), torch.tensor(mask)
    gate = HadamardGate(n, init=torch.rand(n), costs=torch.arange(float(n)))
    by_mask, by_position = gate.subset(mask), gate.subset(mask.nonzero().squeeze(1))
    assert torch.equal(by_mask.v, by_position.v)
    assert torch.equal(by_mask.costs, by_position.costs)


def test_subset_is_independent_and_takes_uint8_as_positions():
    gate = HadamardGate(3, init=torch.tensor([1.0, 2.0, 3.0]))
    part = gate.subset(torch.tensor([0, 0, 2], dtype=torch.uint8))
    torch.testing.assert_close(part().detach(), torch.tensor([1.0, 1.0, 3.0]))
    part.v.data.zero_()
    part.costs.zero_()
    torch.testing.assert_close(gate().detach(), torch.tensor([1.0, 2.0, 3.0]))
    assert gate.costs.tolist() == [1, 1, 1]


# State


def test_same_in_training_and_evaluation():
    gate = HadamardGate(5, init=torch.rand(5))
    assert torch.equal(gate.train()(), gate.eval()())


def test_state_dict_round_trip():
    gate = gate_at([0.1, 0.2], 6, costs=torch.tensor([1.0, 2.0]))
    other = HadamardGate(2, 6, dtype=torch.float64)
    assert list(gate.state_dict()) == ["v", "costs"]
    other.load_state_dict(gate.state_dict())
    assert torch.equal(gate(), other())
    assert torch.equal(gate.get_penalty(), other.get_penalty())


def test_deepcopy_is_equal_and_independent():
    gate = HadamardGate(3, 6, init=0.5)
    twin = copy.deepcopy(gate)
    assert torch.equal(gate(), twin()) and twin.depth == 6
    twin.v.data.zero_()
    assert gate().all()
    assert repr(gate) == "HadamardGate(n_items=3, depth=6)"


# Errors


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"n_items": 0}, "`n_items` must be an integer of at least 1, got 0"),
        ({"n_items": 2.0}, "`n_items` must be an integer of at least 1, got 2.0"),
        ({"depth": 1}, "`depth` must be an integer of at least 2, got 1"),
        ({"depth": 2.5}, "`depth` must be an integer of at least 2, got 2.5"),
        ({"init": -1.0}, "`init` must be finite and not negative, but is not at items 0, 1, 2"),
        ({"init": math.nan}, "`init` must be finite and not negative"),
        (
            {"init": torch.ones(4)},
            r"`init` must have shape \(3,\), one value for each item, got \(4,\)",
        ),
        ({"init": torch.ones(3, dtype=torch.int64)}, "`init` must be of a floating dtype"),
        ({"costs": torch.ones(3, 1)}, r"`costs` must have shape \(3,\)"),
        (
            {"costs": torch.tensor([1.0, -2.0, math.inf])},
            r"`costs` must be finite and not negative, but is not at items 1, 2: \[-2.0, inf\]",
        ),
        (
            {"n_items": 9, "init": -torch.ones(9)},
            "items 0, 1, 2, 3, 4 and 4 more",
        ),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        HadamardGate(**{"n_items": 3, **kwargs})


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (torch.ones(4, dtype=torch.bool), r"`keep` is a mask of shape \(4,\), but there are 3"),
        (torch.ones(2), "`keep` must be a boolean mask or a 1-D tensor of integer positions"),
        (torch.tensor([[0]]), "`keep` must be a boolean mask or a 1-D tensor of integer positions"),
        (torch.zeros(3, dtype=torch.bool), "`keep` leaves no item"),
        (torch.tensor([0, 3, -4]), "`keep` points outside the 3 items: 3, -4"),
    ],
)
def test_bad_subsets_are_named(keep, message):
    with pytest.raises(ValueError, match=message):
        HadamardGate(3).subset(keep)
