from dataclasses import dataclass

import numpy as np
import pytest

from l0.calibration.checkpoints.folder import Folder, NoFolder
from l0.calibration.checkpoints.shared import SharedStages, check_alike
from l0.calibration.fitting.history import History
from l0.common.errors import InputError
from l0.common.ranks import RankLost
from tests.calibration import problems
from tests.thread_ranks import on_ranks


@dataclass
class Found:
    array: np.ndarray


def run(ranks, path, computed, more=0.0):
    """Compute a stage that uses the generator and the history, and look at both after it."""
    generator, history = np.random.default_rng(0), History(problems.problem(n=20, m=3))
    folder = Folder(path) if path is not None and ranks.is_first else NoFolder()
    stages = SharedStages(folder, generator, history, ranks)

    def compute():
        computed.append(ranks.rank)
        history.snapshot("full", 1, 3, generator.random(3))
        return Found(generator.random(2) + more * ranks.rank)

    try:
        found = stages.once("full", Found, compute)
        return found.array.tolist(), generator.random(), history.log().to_pydict(), stages.notes
    finally:
        stages.close()


def test_what_rank_0_has_kept_is_given_to_any_number_of_ranks(tmp_path):
    computed = []
    first = on_ranks(2, lambda ranks: run(ranks, tmp_path, computed))
    assert sorted(computed) == [0, 1]
    again = on_ranks(3, lambda ranks: run(ranks, tmp_path, computed))
    assert sorted(computed) == [0, 1]
    assert len(first) + len(again) == 5
    for found in (*first, *again):
        assert found == first[0]


def test_without_a_folder_all_ranks_compute():
    computed = []
    first, second = on_ranks(2, lambda ranks: run(ranks, None, computed))
    assert first == second
    assert sorted(computed) == [0, 1]


def test_ranks_that_compute_other_numbers_end():
    for found in on_ranks(3, lambda ranks: run(ranks, None, [], more=1e-9)):
        assert isinstance(found, RankLost)
        assert "rank 1 has other numbers than rank 0 after the stage 'full'" in str(found)


def test_a_full_disk_of_rank_0_stops_no_rank(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Folder, "write", full)
    first, second = on_ranks(2, lambda ranks: run(ranks, tmp_path, []))
    assert first[:3] == second[:3]
    assert "The checkpoint could not be written" in first[3][0]


def test_ranks_must_have_the_same_problem_and_arguments():
    def check(ranks, **changes):
        run = {
            "problem": {"the values of the targets": "same"},
            "arguments": {"seed": "0"},
            "versions": {"torch": "2"},
        }
        if ranks.rank == 1:
            run |= changes
        check_alike(ranks, run)

    assert on_ranks(2, check) == [None, None]
    for changes, said in (
        ({"arguments": {"seed": "1"}}, "rank 1 has not what rank 0 has (`seed` is 1, and was 0)"),
        ({"problem": {"the values of the targets": "x"}}, "the values of the targets differ"),
        ({"versions": {"torch": "3"}}, "torch is 3, and was 2"),
    ):
        for found in on_ranks(2, lambda ranks, changes=changes: check(ranks, **changes)):
            assert isinstance(found, InputError)
            assert said in str(found)


@pytest.mark.parametrize("size", [2, 3])
def test_the_instructions_of_the_cpu_must_be_the_same(size, monkeypatch):
    capabilities = iter(["AVX2", *["AVX512"] * (size - 1)])
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: next(capabilities))
    run = {"problem": {}, "arguments": {}, "versions": {}}
    found = on_ranks(size, lambda ranks: check_alike(ranks, run))
    assert all("the CPU is AVX" in str(each) for each in found)
