import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from l0 import FeatureGate, HardConcrete, HybridGate, L0Gate, SampleGate
from tests.gates.data import train

GATES = {
    "L0Gate": lambda: L0Gate(6),
    "SampleGate": lambda: SampleGate(6, 2),
    "FeatureGate": lambda: FeatureGate(6, 2),
    "HybridGate": lambda: HybridGate(6, target_items=4),
}
each_gate = pytest.mark.parametrize("make", GATES.values(), ids=GATES)


def test_defaults():
    gate = L0Gate(5)
    assert (gate.size, gate.temperature, gate.init_mean) == (5, 0.5, 0.5)
    assert isinstance(gate.gates, HardConcrete)
    sample = SampleGate(20, 5)
    assert (sample.n_samples, sample.target_samples) == (20, 5)
    assert (sample.temperature, sample.init_mean) == (0.25, 0.25)
    feature = FeatureGate(10, 2)
    assert (feature.n_features, feature.max_features) == (10, 2)
    assert (feature.temperature, feature.init_mean) == (0.1, 0.2)
    hybrid = HybridGate(100)
    assert (hybrid.l0_fraction, hybrid.random_fraction, hybrid.target_items) == (0.25, 0.75, 20)
    assert (hybrid.n_l0, hybrid.n_random, hybrid.l0_gate.temperature) == (5, 15, 0.25)
    assert SampleGate(5, 5).init_mean == FeatureGate(5, 5).init_mean == 0.99


@each_gate
def test_state_holds_the_logits_and_nothing_else(make):
    gate = make()
    prefix = "l0_gate." if isinstance(gate, HybridGate) else ""
    assert list(gate.state_dict()) == [f"{prefix}gates.qz_logits"]


@each_gate
def test_state_survives_a_file_and_a_copy(make, tmp_path):
    gate, other = make(), make()
    train(gate, 2)
    torch.save(gate.state_dict(), tmp_path / "gate.pt")
    other.load_state_dict(torch.load(tmp_path / "gate.pt", weights_only=True))
    for twin in (other, copy.deepcopy(gate)):
        torch.testing.assert_close(twin.get_penalty(), gate.get_penalty())


@each_gate
def test_the_penalty_is_the_expected_count_and_differentiable(make):
    gate = make()
    inner = getattr(gate, "l0_gate", gate)
    train(gate, 2)
    gate.get_penalty().backward()
    torch.testing.assert_close(gate.get_penalty(), inner.gates.get_active_prob().sum())
    assert (inner.gates.qz_logits.grad > 0).all()


def test_temperature_is_that_of_the_gates():
    gate = L0Gate(3)
    gate.temperature = 0.2
    assert gate.gates.temperature == 0.2
    gate.gates.temperature = 0.7
    assert gate.temperature == 0.7


def test_gates_are_sampled_in_training_and_median_in_evaluation():
    gate = L0Gate(1000)
    assert not torch.equal(gate.get_gates(), gate.get_gates())
    assert gate.eval().get_gates().unique().numel() == 1


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2, -3])
def test_gates_apply_along_an_axis(dim):
    gate = L0Gate(4).eval()
    train(gate, 2)
    x = torch.rand(4, 4, 4)
    expected = torch.movedim(torch.movedim(x, dim, -1) * gate.get_gates(), -1, dim)
    torch.testing.assert_close(gate.apply_gates(x, dim), expected)


def test_gates_apply_to_rows_by_default():
    gate = L0Gate(2).eval()
    train(gate, 1)
    torch.testing.assert_close(
        gate.apply_gates(torch.ones(2, 3)), gate.get_gates()[:, None].expand(2, 3)
    )


@pytest.mark.parametrize(("shape", "dim"), [((3, 4), 0), ((4, 3), 1), ((4,), 1), ((), 0)])
def test_a_tensor_of_another_length_is_named(shape, dim):
    with pytest.raises(ValueError, match="`x` has shape"):
        L0Gate(4).apply_gates(torch.ones(shape), dim)


@pytest.mark.parametrize("mode", [True, False])
def test_active_items_are_those_of_the_median_gate_in_any_mode(mode):
    gate = L0Gate(9).train(mode)
    train(gate, 3)
    median = copy.deepcopy(gate).eval().get_gates()
    for threshold in (0.0, 0.5, 0.9):
        expected = torch.nonzero(median > threshold).flatten()
        assert torch.equal(gate.get_active_indices(threshold), expected)
    assert torch.equal(gate.get_active_indices(), gate.get_active_indices(0.5))


@given(logits=st.lists(st.sampled_from([-1.0, 0.0, 50.0, 60.0]), min_size=1, max_size=9))
def test_top_items_are_the_most_probable_and_of_equals_the_first(logits):
    gate = L0Gate(len(logits))
    gate.gates.qz_logits.data.copy_(torch.tensor(logits))
    for k in range(len(logits) + 1):
        expected = sorted(sorted(range(len(logits)), key=lambda i: (-logits[i], i))[:k])
        assert gate.get_top_indices(k).tolist() == expected


@pytest.mark.parametrize("k", [-1, 4, 1.5])
def test_more_items_than_there_are_are_refused(k):
    with pytest.raises(ValueError, match="`k` must be an integer from 0 to the number of items, 3"):
        L0Gate(3).get_top_indices(k)


def test_a_functional_call_sees_the_logits_it_is_given():
    gate = SampleGate(4, 2).eval()
    logits = torch.tensor([5.0, -5, 5, -5], requires_grad=True)
    z = torch.func.functional_call(gate, {"gates.qz_logits": logits}, ())
    assert z.tolist() == [1, 0, 1, 0]


def test_a_gate_trains_on_its_samples_and_penalty():
    torch.manual_seed(0)
    gate = L0Gate(4, init_mean=0.9)
    optimizer = torch.optim.Adam(gate.parameters(), lr=0.1)
    useful = torch.tensor([1.0, 0, 1, 0])
    for _ in range(200):
        optimizer.zero_grad()
        (((gate.get_gates() - 1) * useful).square().sum() + 0.1 * gate.get_penalty()).backward()
        optimizer.step()
    assert gate.get_active_indices().tolist() == [0, 2]
