import json

import pytest

from l0.calibration import CalibrationResult
from l0.calibration.results.checked_run import broken_entries
from l0.common.errors import InputError
from tests.calibration.results.test_result import solve

FRAME = {"frame": "pandas", "shape": [400, 5]}
FILE = {"path": "records.csv", "sha256": "ab"}
SOUND = {
    "key": "id",
    "weight": None,
    "arguments": {"method": "hybrid", "trim": [{"lower": None, "upper": 2.5}]},
    "call": "l0.calibrate()",
    "problem_sha256": "ab",
    "threads": 2,
    "versions": {"numpy": "2"},
    "notes": ["a note"],
    "inputs": {"records": FILE, "targets": FRAME, "members": {"persons": FRAME}},
}


def test_a_sound_description_has_no_broken_entry():
    assert broken_entries(SOUND) == []
    assert broken_entries({}) == []


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("key", 3),
        ("weight", ["weight"]),
        ("arguments", ["hybrid"]),
        ("arguments", {"method": None}),
        ("arguments", {"trim": {"lower": None, "upper": 1.0}}),
        ("arguments", {"trim": [{"lowar": None, "upper": 1.0}]}),
        ("arguments", {"trim": [{"lower": "1", "upper": None}]}),
        ("call", None),
        ("problem_sha256", 1),
        ("threads", "2"),
        ("versions", {"numpy": None}),
        ("notes", "a note"),
        ("notes", [1]),
        ("n_dropped", "3"),
        ("inputs", None),
        ("inputs", {"records": FILE, "targets": FILE, "membevs": {}}),
        ("inputs", {"records": FILE, "targets": FILE, "members": []}),
        ("inputs", {"records": "records.csv", "targets": FILE, "members": {}}),
        ("inputs", {"records": {"path": "records.csv"}, "targets": FILE, "members": {}}),
        ("inputs", {"records": {"path": 1, "sha256": "ab"}, "targets": FILE, "members": {}}),
        ("inputs", {"records": FILE, "targets": {**FRAME, "shape": [4]}, "members": {}}),
        ("inputs", {"records": FILE, "targets": {**FRAME, "shape": ["4", 5]}, "members": {}}),
        ("inputs", {"records": FILE, "targets": FILE, "members": {"persons": {}}}),
    ],
)
def test_what_is_broken_is_named(name, entry):
    assert broken_entries({**SOUND, name: entry}) == [name]


def test_a_result_with_a_broken_description_is_refused(tmp_path):
    solve().save(tmp_path / "out")
    path = tmp_path / "out" / "run.json"
    run = json.loads(path.read_text())
    path.write_text(json.dumps({**run, "notes": None, "threads": "two"}))
    with pytest.raises(InputError, match=r"run.json' is damaged at 'threads', 'notes'; restore"):
        CalibrationResult.load(tmp_path / "out")
