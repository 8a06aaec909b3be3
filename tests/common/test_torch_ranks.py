"""Several processes solve one problem together."""

import json
import os
import signal
import subprocess
import sys

import pytest

from l0.common.errors import InputError
from tests.calibration import problems

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "tests.calibration.ranks_job", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_two_ranks_find_the_solution_of_one_process(said):
    (status, found), _ = said["first"]
    assert status == 0
    assert found["differing"] == []


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("different", "InputError", "rank 1 has not what rank 0 has (`seed` is 1, and was 0)"),
        ("no folder", "InputError", "contains other files ('other.txt')"),
        ("one rank", "RankLost", "another rank has ended with an error (rank 1: `solver`"),
        ("no device", "InputError", "`device` is 'meta', and 2 ranks compute on CPUs only"),
    ],
)
def test_an_error_is_said_by_all_ranks(what, error, message, said):
    (_, found), _ = said["first"]
    kind, text = found["failing"][what]
    assert kind == error
    assert message in text


def test_a_rank_that_is_killed_ends_the_others_with_a_message(said):
    (_, found), (status, _) = said["first"]
    assert status == -signal.SIGKILL
    assert "rank 1 has ended without a word" in found["lost"]


def test_several_ranks_that_lose_one_all_end(said):
    for ranks in said["losing"]:
        assert [status for status, _ in ranks] == [0, 0, 0, 0]
        words = [word for _, word in ranks]
        assert words.pop(1) == "on purpose"
        # Rank 0 has the words of all. It may end before another rank has asked.
        expected = ("(rank 1: on purpose", "lost the others, rank 0 among them")
        assert all(any(each in word for each in expected) for word in words), words


def test_a_rank_that_computes_is_not_said_to_have_ended(said):
    (_, first), (status, _), (_, _) = said["computing"]
    assert status == -signal.SIGKILL
    assert "one or more of the ranks 1, 2 has ended without a word" in first


def test_another_number_of_ranks_resumes_and_finds_the_same(said):
    assert any("-full." in name for name in said["kept"])
    assert any("-select-1." in name for name in said["kept"])
    for status, found in said["again"]:
        assert status == 0
        assert found["indices"] == said["alone"]["indices"]
        assert found["values"] == pytest.approx(said["alone"]["values"], rel=1e-5)


def test_ranks_need_a_process_group():
    with pytest.raises(InputError, match="needs a process group; start the script with torchrun"):
        problems.problem().solve(20, distributed=True)


def test_a_frontier_runs_in_one_process():
    with pytest.raises(InputError, match="`distributed`: a frontier runs in one process"):
        problems.problem().frontier([20], distributed=True)
