import torch

from l0.gated_linear.fit_state import (
    generator_with,
    give_moments,
    moments_of,
    packed,
    unpacked_moments,
)


def stepped(parameter, steps, moments=None):
    optimizer = torch.optim.Adam([parameter], lr=0.1)
    names = {parameter: "x"}
    if moments is not None:
        give_moments(optimizer, names, moments)
    for _ in range(steps):
        optimizer.zero_grad()
        parameter.square().sum().backward()
        optimizer.step()
    return moments_of(optimizer, names)


def test_adam_goes_on_from_named_tensors():
    start = torch.arange(1.0, 4)
    long, short = (torch.nn.Parameter(start.clone()) for _ in range(2))
    stepped(long, 8)
    state = packed(stepped(short, 5), {})
    assert set(state) == {"fit.x.step", "fit.x.exp_avg", "fit.x.exp_avg_sq"}
    moments, errors = unpacked_moments(state, [("x", short)])
    assert not errors and not state
    stepped(short, 3, moments)
    assert torch.equal(long, short)


def test_a_generator_goes_on_where_its_state_was():
    generator = torch.Generator().manual_seed(4)
    torch.rand(3, generator=generator)
    state = packed({}, {"one": generator, "none": None})
    assert list(state) == ["fit.generator.one"]
    again = generator_with(state["fit.generator.one"], torch.device("cpu"))
    assert torch.equal(torch.rand(5, generator=again), torch.rand(5, generator=generator))
    assert generator_with(torch.zeros(3, dtype=torch.uint8), torch.device("cpu")) is None
