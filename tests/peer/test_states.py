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
