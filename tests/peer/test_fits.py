"""The same options of `SparseCalibrationWeights.fit` mean the same fit as in l0-python 0.6.2."""

from pathlib import Path

import pytest
import torch

from tests.peer import fits


@pytest.fixture(scope="module")
def theirs(run_on_peer, tmp_path_factory):
    file = tmp_path_factory.mktemp("fits") / "fits.pt"
    run = run_on_peer(Path(fits.__file__), file)
    assert run.returncode == 0, run.stderr
    return torch.load(file, weights_only=True)


def test_fits_without_chance_are_the_same(theirs):
    ours = fits.dense()
    for case in fits.CASES:
        torch.testing.assert_close(
            ours[case],
            theirs["dense"][case],
            rtol=1e-4,
            atol=0,
            msg=lambda text, case=case: f"{case}\n{text}",
        )


def test_fits_with_gates_keep_as_many_and_err_no_more(theirs):
    ours, theirs = fits.sparse(), theirs["sparse"]

    def gap(what):
        mean = ours[what].mean(1) - theirs[what].mean(1)
        spread = (ours[what].var(1) + theirs[what].var(1)).div(len(fits.SEEDS)).sqrt()
        return mean, 4 * spread

    difference, limit = gap("kept")
    assert (difference.abs() <= limit + 1).all()
    difference, limit = gap("error")
    assert (difference <= limit).all()
