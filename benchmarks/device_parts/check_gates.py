"""Both families of gates, and the penalties of a model."""

from __future__ import annotations

import io

import torch
from torch import nn

import l0
from device_parts.compare import (
    FLOAT32,
    HALVES,
    Check,
    global_generators_untouched,
    gradients,
    is_on,
    near,
    near_relative,
    on,
)

N = 5_000


def _hard_concrete() -> l0.HardConcrete:
    gates = l0.HardConcrete(N, temperature=2 / 3)
    with torch.no_grad():
        gates.qz_logits.copy_(torch.linspace(-4, 4, N))
    return gates


def _hadamard(depth: int) -> l0.HadamardGate:
    generator = torch.Generator().manual_seed(0)
    init, costs = (torch.rand(N, generator=generator) for _ in range(2))
    return l0.HadamardGate(N, depth, init, costs)


def hard_concrete_draws(device: torch.device) -> None:
    """The same seed is the same draw; the global generators stay; a CPU generator serves too."""
    gates = on(device, _hard_concrete())

    def draw(place: torch.device, seed: int) -> torch.Tensor:
        return gates(generator=torch.Generator(place).manual_seed(seed))

    cpu = torch.device("cpu")
    with global_generators_untouched():
        first, again, other = draw(device, 1), draw(device, 1), draw(device, 2)
        from_cpu = draw(cpu, 1)
    for sample in (first, from_cpu):
        is_on(sample, device)
    assert torch.equal(first, again), "the same seed gave another draw"
    assert not torch.equal(first, other), "another seed gave the same draw"
    expected = _hard_concrete()(generator=torch.Generator().manual_seed(1))
    near("the draw of a CPU generator", from_cpu, expected, FLOAT32)


def hard_concrete_global(device: torch.device) -> None:
    """Without a generator the draw follows torch's global one."""
    gates = on(device, _hard_concrete())
    torch.manual_seed(3)
    first, second = gates(), gates()
    torch.manual_seed(3)
    assert torch.equal(first, gates()), "`torch.manual_seed` did not repeat the draw"
    assert not torch.equal(first, second), "two draws are the same"


def hard_concrete_distribution(device: torch.device) -> str:
    """Shares of closed gates, of a million draws, are those of the closed form."""
    gates = on(device, l0.HardConcrete(1_000_000, init_mean=0.4))
    sample = gates(generator=torch.Generator(device).manual_seed(0)).detach()
    assert ((sample >= 0) & (sample <= 1)).all(), "a gate is outside of [0, 1]"
    found, expected = float((sample > 0).float().mean()), float(gates.get_active_prob()[0])
    near("the share of open gates", found, expected, 0.0025)  # five standard errors
    return f"{found:.4f} open, {expected:.4f} expected"


def hard_concrete_numbers(device: torch.device) -> None:
    """Medians, penalty, probabilities and gradients are those of the CPU."""
    here, there = _hard_concrete(), on(device, _hard_concrete())
    for gates in (here, there):
        noise = torch.Generator().manual_seed(5)
        (gates(generator=noise).square().sum() + gates.get_penalty()).backward()
    near("the gradient", gradients(there)["qz_logits"], gradients(here)["qz_logits"], 1e-4)
    near_relative("the penalty", there.get_penalty(), here.get_penalty(), FLOAT32)
    near("probabilities", there.get_active_prob(), here.get_active_prob(), FLOAT32)
    near("medians", there.eval()(), here.eval()(), FLOAT32)
    assert there.get_num_active() == here.get_num_active()
    near("sparsity", there.get_sparsity(), here.get_sparsity(), FLOAT32)


def hard_concrete_halves(device: torch.device) -> None:
    """In half precision gates are drawn in float32, and the penalty does not overflow."""
    for precision in HALVES:
        gates = l0.HardConcrete(200_000, init_mean=0.99).to(device, precision)
        sample = gates(generator=torch.Generator(device).manual_seed(0))
        assert sample.dtype == precision, f"gates are {sample.dtype}"
        (sample.float().sum() + gates.get_penalty()).backward()
        gradients(gates)
        assert float(gates.get_penalty()) > 150_000, "the penalty lost gates"


def hadamard_numbers(device: torch.device) -> None:
    """Gates, penalty and gradients are those of the CPU, at even and odd depths."""
    for depth in (2, 3, 6):
        here, there = _hadamard(depth), on(device, _hadamard(depth))
        for gates in (here, there):
            (gates().square().sum() + gates.get_penalty()).backward()
        near("the gates", there(), here(), FLOAT32)
        near_relative("the penalty", there.get_penalty(), here.get_penalty(), FLOAT32)
        near_relative("the gradient", gradients(there)["v"], gradients(here)["v"], FLOAT32)
        assert torch.equal(there.get_open().cpu(), here.get_open())


def hadamard_subset(device: torch.device) -> None:
    """Items by mask and by position, both on the device and on the CPU; made on the device."""
    gates = on(device, _hadamard(4))
    mask = torch.arange(N) % 3 == 0
    for keep in (mask, mask.to(device), mask.nonzero()[:, 0], mask.nonzero()[:, 0].to(device)):
        smaller = gates.subset(keep)
        is_on(smaller.v, device)
        near("v of the subset", smaller.v, _hadamard(4).v[mask], 0)
        near("its costs", smaller.costs, _hadamard(4).costs[mask], 0)
    made = l0.HadamardGate(N, init=torch.rand(N, device=device))
    is_on(made.costs, device)
    is_on(l0.HadamardGate(N, device=device).v, device)


def hadamard_halves(device: torch.device) -> None:
    """In half precision the gradients are finite and the penalty is a float32."""
    for precision in HALVES:
        gates = on(device, _hadamard(4)).to(precision)
        (gates().float().sum() + gates.get_penalty()).backward()
        gradients(gates)
        assert gates.get_penalty().dtype == torch.float32


def penalties(device: torch.device) -> None:
    """Penalties and statistics over a model, the temperature, pruning, tracker and saving."""
    torch.manual_seed(0)
    model = nn.Sequential(l0.L0Linear(20, 15, use_l2=True), nn.ReLU(), l0.L0Linear(15, 3))
    there = on(device, model)
    for name in ("compute_l0_penalty", "compute_l2_penalty", "compute_l0l2_penalty"):
        found = getattr(l0, name)(there)
        is_on(found, device)
        near_relative(name, found, getattr(l0, name)(model), FLOAT32)
    l0.update_temperatures(there, l0.TemperatureScheduler().get_temperature(10))
    assert l0.get_active_parameter_count(there) > 0
    assert set(l0.get_sparsity_stats(there)) == {"0", "2"}
    tracker = l0.PenaltyTracker()
    tracker.log("penalty", l0.compute_l0_penalty(there))
    assert tracker.get_history("penalty")[0] > 0
    l0.prune_model(there, threshold=0.9)
    file = io.BytesIO()
    torch.save(there.state_dict(), file)
    file.seek(0)
    model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    near("weights after a detour", model[0].weight, there[0].weight, 0)


def l0_gate(device: torch.device) -> None:
    """The gate over items: products along an axis, active and top items."""
    gate = l0.L0Gate(6).to(device)
    with torch.no_grad():
        gate.gates.qz_logits.copy_(torch.tensor([3.0, -3.0, 2.0, -2.0, 1.0, -1.0]))
    x = torch.ones(4, 6, 2, device=device)
    is_on(gate.apply_gates(x, dim=1), device)
    assert gate.get_top_indices(2).tolist() == [0, 2]
    assert gate.get_active_indices().tolist() == [0, 2, 4]
    gate.get_penalty().backward()
    gradients(gate)


CHECKS: dict[str, Check] = {
    "HardConcrete: draws by seed": hard_concrete_draws,
    "HardConcrete: draws of the global generator": hard_concrete_global,
    "HardConcrete: distribution": hard_concrete_distribution,
    "HardConcrete: medians, penalty, gradients": hard_concrete_numbers,
    "HardConcrete: half precision": hard_concrete_halves,
    "HadamardGate: gates, penalty, gradients": hadamard_numbers,
    "HadamardGate: subset": hadamard_subset,
    "HadamardGate: half precision": hadamard_halves,
    "penalties of a model": penalties,
    "L0Gate": l0_gate,
}
