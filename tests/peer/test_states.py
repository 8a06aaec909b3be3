"""A state saved by either package loads into the other's class, and means the same there."""

from pathlib import Path

import pytest
import torch

from tests.peer import states


@pytest.fixture(scope="module")
def exchanged(run_on_peer, tmp_path_factory):
    """States of both packages in one folder, and the answers of 0.6.2 to both."""
    folder = tmp_path_factory.mktemp("states")
    states.save(folder / "ours", seed=0)
    for case in states.FITTED:
        module = states.build(case)
        module.fit(states.MATRIX, states.TOTALS, epochs=5)
        torch.save(module.state_dict(), folder / f"fitted {case}.pt")
    run = run_on_peer(Path(states.__file__), folder)
    assert run.returncode == 0, run.stderr
    return folder, torch.load(folder / "answers.pt", weights_only=True)


@pytest.mark.parametrize("whose", ["ours", "theirs"])
@pytest.mark.parametrize("case", states.CASES)
def test_a_state_means_the_same_in_both_packages(exchanged, case, whose):
    folder, answers = exchanged
    module = states.build(case)
    state = torch.load(folder / whose / f"{case}.pt", weights_only=True)
    module.load_state_dict(state, strict=True)
    agree(states.answers(case, module), answers[whose][case], case)


@pytest.mark.parametrize("case", states.FITTED)
def test_the_state_of_a_fit_goes_over_without_the_state_of_adam(exchanged, case):
    folder, _ = exchanged
    state = torch.load(folder / f"fitted {case}.pt", weights_only=True)
    refused = torch.load(folder / "refused.pt", weights_only=True)
    assert "Unexpected key(s) in state_dict" in refused[case]  # with `strict=True`
    module = states.build(case)
    module.load_state_dict(state)
    agree(states.answers(case, module), torch.load(folder / f"answers {case}.pt"), case)
    module.load_state_dict(torch.load(folder / f"theirs fitted {case}.pt"), strict=True)
    agree(states.answers(case, module), torch.load(folder / f"their answers {case}.pt"), case)


def agree(ours, theirs, place):
    """Everything that 0.6.2 says, we say as well, up to the rounding of float32."""
    if isinstance(theirs, dict):
        for key in theirs:
            agree(ours[key], theirs[key], f"{place}: {key}")
    else:
        ours, theirs = torch.as_tensor(ours), torch.as_tensor(theirs)
        torch.testing.assert_close(
            ours, theirs, rtol=1e-5, atol=1e-6, msg=lambda text: f"{place}\n{text}"
        )
