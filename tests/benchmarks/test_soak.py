"""The parts of the soak on a few seeds: only documented errors, and whole results."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from l0.common.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def benchmarks():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield
        for name in [name for name in sys.modules if name.split(".")[0] == "soak_parts"]:
            sys.modules.pop(name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("part", "ways"), [("damage", 1), ("strange", 2)])
def test_what_is_wrong_is_refused_in_words_and_the_rest_is_whole(part, ways, tmp_path):
    attempt = importlib.import_module(f"soak_parts.{part}").attempt
    ended = set()
    for seed in range(12):
        try:
            attempt(seed, tmp_path)
            ended.add("whole")
        except InputError:
            ended.add("refused")
    assert "refused" in ended and len(ended) >= ways


def test_a_try_that_ends_its_process_is_a_fault_and_the_next_one_goes_on(tmp_path):
    work = importlib.import_module("soak_parts.work")
    tally = importlib.import_module("soak_parts.tally").Tally("a part")
    line = json.dumps({"seed": 4, "ended": "refused", "text": ""})
    crash = f"print('{line}', flush=True); import os; os.abort()"
    words = [sys.executable, "-c", crash]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as worker:
        seed = work._follow(worker, tally, 4, float("inf"))
    assert seed == 6 and tally.tries == tally.refused == 1
    assert tally.faults == ["seed 5: the process ended with -6"]


def test_an_undisturbed_run_is_whole_and_its_folder_is_read(tmp_path):
    survey = importlib.import_module("soak_parts.survey")
    survey.write(tmp_path)
    process = survey.start(tmp_path, tmp_path / "out")
    assert process.communicate(timeout=120)[1] == "" and process.returncode == 0
    assert len(survey.digest(tmp_path / "out")) == 8 * survey.KEEP
    (tmp_path / "out" / "targets.csv").unlink()
    with pytest.raises(InputError, match="targets.csv"):
        survey.digest(tmp_path / "out")
