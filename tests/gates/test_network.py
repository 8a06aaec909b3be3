import numpy as np
import pytest
import torch

from l0.gates import network
from l0.gates.linear import linear_order
from l0.gates.network import GatedNetworks, network_order


@pytest.fixture
def quick(monkeypatch):
    """Few steps, for what holds however long the networks are trained."""
    monkeypatch.setattr(network, "STEPS", 50)


PLANTED = {
    "product": lambda a, b: a * b,
    "signs that differ": lambda a, b: (a > 0) ^ (b > 0),
    "squares": lambda a, b: a**2 + b**2,
    "waves": lambda a, b: np.sin(2 * a) + np.sin(2 * b),
}


def planted(make, seed, n=1000, p=25):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, p))
    support = generator.permutation(p)[:2]
    y = make(*x[:, support].T).astype(float)
    return x, (y / y.std() + 0.3 * generator.normal(size=n))[:, None], set(support.tolist())


@pytest.mark.parametrize("make", PLANTED.values(), ids=PLANTED)
def test_what_a_linear_model_cannot_see_is_found(make):
    x, y, support = planted(make, seed=0)
    assert set(network_order(x, y, 2)[:2].tolist()) == support


def test_a_linear_choice_does_not_see_it():
    found = sum(
        set(linear_order(x, y, 2)[:2].tolist()) == support
        for x, y, support in (planted(PLANTED["product"], seed) for seed in range(10))
    )
    assert found < 3


def test_every_column_comes_once_and_constant_ones_last():
    x, y, support = planted(PLANTED["product"], seed=1, n=300, p=8)
    constant = min({0, 1, 2} - support)
    x[:, constant] = 5
    order = network_order(x, y, 2).tolist()
    assert set(order[:2]) == support
    assert sorted(order) == list(range(8))
    assert order[-1] == constant


def test_the_scale_of_columns_and_outcome_does_not_matter(quick):
    x, y, _ = planted(PLANTED["product"], seed=2, n=300, p=8)
    sizes = 2.0 ** np.arange(-4, 4)
    plain, other = network_order(x, y, 2), network_order(x * sizes, 64 * y, 2)
    np.testing.assert_array_equal(plain, other)


def test_the_same_data_give_the_same_order_and_no_global_generator_moves(quick):
    x, y, _ = planted(PLANTED["product"], seed=3, n=200, p=6)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = network_order(x, y, 3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    np.testing.assert_array_equal(network_order(x, y, 3), first)


def test_the_default_device_of_torch_decides_nothing(quick):
    x, y, _ = planted(PLANTED["product"], seed=0, n=60, p=6)
    expected = network_order(x, y, 2)
    with torch.device("meta"):
        np.testing.assert_array_equal(network_order(x, y, 2), expected)


@pytest.mark.parametrize("shape", [(2, 3), (4, 1), (5, 40)])
def test_few_rows_give_an_order_too(quick, shape):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=shape), generator.normal(size=(shape[0], 2))
    assert sorted(network_order(x, y, 1).tolist()) == list(range(shape[1]))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_learns_where_gradients_are_off_and_doubles_the_default(quick, mode):
    x, y, _ = planted(PLANTED["squares"], seed=4, n=300, p=6)
    expected = network_order(x, y, 2)
    torch.set_default_dtype(torch.float64)
    try:
        with mode():
            np.testing.assert_array_equal(network_order(x, y, 2), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_closed_inputs_are_not_seen_and_stay_in_order():
    networks = GatedNetworks(6, 2, torch.Generator().manual_seed(0))
    size = networks.first.detach().norm(dim=2)
    x = torch.randn(9, 6, generator=torch.Generator().manual_seed(1))
    assert networks(x).shape == (len(size), 9, 2)
    networks.keep(4)
    networks.keep(2)
    assert torch.equal(networks.order, size.argsort(dim=1, descending=True))
    for place, order in enumerate(networks.order):
        other = x.clone()
        other[:, order[2:]] = 100.0
        torch.testing.assert_close(networks(other)[place], networks(x)[place])
