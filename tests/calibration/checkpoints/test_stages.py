from dataclasses import dataclass

import numpy as np
import pytest

from l0.calibration.checkpoints import stages
from l0.calibration.checkpoints.folder import Folder
from l0.calibration.checkpoints.stages import KeptStages, Stages
from l0.calibration.fitting.history import History
from tests.calibration import problems


@dataclass
class Found:
    number: float
    array: np.ndarray


@pytest.fixture(autouse=True)
def keeps_everything(monkeypatch):
    monkeypatch.setattr(stages, "EVERY", 0.0)
    monkeypatch.setattr(stages, "PATIENCE", 0.0)


class Run:
    """Two stages, the second of which has a loop; both use the generator and the history."""

    def __init__(self, path, steps=4):
        problem = problems.problem(n=20, m=3)
        self.generator, self.history = np.random.default_rng(0), History(problem)
        self.folder = Folder(path)
        self.stages = KeptStages(self.folder, self.generator, self.history)
        self.computed, self.steps = [], steps

    def first(self):
        self.computed.append("first")
        self.history.snapshot("full", 1, 3, self.generator.random(3))
        return Found(self.generator.random(), self.generator.random(2))

    def second(self, start):
        self.computed.append("second")
        state = self.stages.resumed(Found(0.0, start))
        for step in range(int(state.number), self.steps):
            self.computed.append(step)
            self.history.snapshot("select", 1, 2, self.generator.random(3))
            state = Found(float(step + 1), state.array + self.generator.random(2))
            self.stages.keep(state)
        return state

    def __call__(self):
        try:
            first = self.stages.once("first", Found, self.first)
            found = self.stages.once("second", Found, lambda: self.second(first.array))
            log = self.history.log()
            return found.array, self.generator.random(), log
        finally:
            self.stages.close()


def assert_same(one, other):
    np.testing.assert_array_equal(one[0], other[0])
    assert one[1] == other[1]
    assert one[2].equals(other[2])


def entries(path):
    return sorted(file for file in path.iterdir() if file.suffix == ".npz")


def test_without_a_folder_all_is_computed():
    plain = Stages()
    assert plain.once("full", int, lambda: 3) == 3
    assert plain.resumed("start") == "start"
    plain.keep("state")
    assert plain.notes == []


def test_what_is_there_is_not_computed_again(tmp_path):
    first, second = Run(tmp_path), None
    found = first()
    assert first.computed == ["first", "second", 0, 1, 2, 3]
    assert [file.name[5:12] for file in entries(tmp_path)] == ["-first.", "-second"]
    second = Run(tmp_path)
    assert_same(second(), found)
    assert second.computed == []


def test_a_loop_goes_on_from_its_last_state(tmp_path):
    whole = Run(tmp_path / "whole")()
    part = Run(tmp_path / "part", steps=2)
    part()
    entries(tmp_path / "part")[-1].unlink()  # as if it had been killed in the loop
    kept = Run(tmp_path / "part")
    kept.steps = 4
    assert_same(kept(), whole)


def killed_in_the_loop(path):
    run = Run(path)

    def killed(found):
        raise KeyboardInterrupt

    write = run.folder.write

    def write_states(stage, loop, content):
        if stage == "second" and not loop:
            raise KeyboardInterrupt
        write(stage, loop, content)

    run.folder.write = write_states
    with pytest.raises(KeyboardInterrupt):
        run()


def test_of_the_states_of_a_loop_the_last_two_are_kept(tmp_path):
    killed_in_the_loop(tmp_path)
    names = [file.name.split(".")[0] for file in entries(tmp_path)]
    assert names == ["00001-first", "00004-second-1", "00005-second-1"]
    run = Run(tmp_path)
    assert_same(run(), Run(tmp_path / "whole")())
    assert run.computed == ["second"]


@pytest.mark.parametrize(
    ("damaged", "computed"),
    [([-1], ["second", 3]), ([-1, -2], ["second", 0, 1, 2, 3]), ([0], ["first", "second"])],
)
def test_what_is_damaged_is_said_and_computed_again(tmp_path, damaged, computed):
    killed_in_the_loop(tmp_path)
    for place in damaged:
        file = entries(tmp_path)[place]
        file.write_bytes(file.read_bytes()[:-9])
    run = Run(tmp_path)
    assert_same(run(), Run(tmp_path / "whole")())
    assert run.computed == computed
    assert len(run.stages.notes) == len(damaged)
    for note in run.stages.notes:
        assert note.startswith("A file of the checkpoint is damaged, and was not used: 0000")


def test_a_full_disk_does_not_end_the_run(tmp_path, caplog):
    run = Run(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    run.folder.write = full
    assert_same(run(), Run(tmp_path / "whole")())
    assert run.stages.notes == [
        "The checkpoint could not be written (No space left on device), and the run went on "
        "without it"
    ]
    assert caplog.messages == run.stages.notes


def test_after_the_run_nothing_is_kept(tmp_path):
    run = Run(tmp_path)
    run()
    before = entries(tmp_path)
    assert run.stages.once("third", Found, lambda: 5) == 5
    assert run.stages.resumed(4) == 4
    run.stages.keep(3)
    assert entries(tmp_path) == before


def test_states_are_kept_at_intervals(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "EVERY", 3600.0)
    killed_in_the_loop(tmp_path)
    assert [file.name.split(".")[0] for file in entries(tmp_path)] == ["00001-first"]
