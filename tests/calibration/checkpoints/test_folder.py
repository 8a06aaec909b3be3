import os

import numpy as np
import pytest

from l0.calibration.checkpoints.folder import Folder
from l0.calibration.checkpoints.packing import packed
from l0.common.errors import InputError


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "deep" / "kept")
    yield made
    made.close()


def content(number):
    return packed(array=np.full(3, number), gap=float(number), nothing=None)


def test_entries_come_back_from_the_last_one(folder):
    folder.write("full", 0, content(1))
    folder.write("select", 1, content(2))
    folder.write("select", 1, content(3))
    assert [(entry.stage, entry.loop) for entry in folder.entries()] == [
        ("select", 1), ("select", 1), ("full", 0),
    ]  # fmt: skip
    (entry,) = folder.entries("full", 0)
    found = folder.read(entry)
    np.testing.assert_array_equal(found.arrays["array"], np.full(3, 1))
    assert found.plain == {"gap": 1.0, "nothing": None}
    assert folder.read(folder.entries("select")[0]).plain["gap"] == 3.0


def test_any_changed_byte_and_any_shorter_file_is_found(folder):
    folder.write("full", 0, content(1))
    (entry,) = folder.entries()
    whole = entry.path.read_bytes()
    for place in range(0, len(whole), 7):
        entry.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert folder.read(entry) is None
        entry.path.write_bytes(whole[:place])
        assert folder.read(entry) is None
    entry.path.write_bytes(whole)
    assert folder.read(entry) is not None
    entry.path.unlink()
    assert folder.read(entry) is None


def test_an_array_of_objects_is_never_loaded(folder):
    folder.write("full", 0, packed(bad=np.array([{}], dtype=object)))
    assert folder.read(folder.entries()[0]) is None


def test_a_folder_is_for_one_run_at_a_time(folder):
    with pytest.raises(InputError, match="another run uses the folder '.*kept'; wait for its end"):
        Folder(folder.path)


def test_drafts_of_a_killed_run_are_removed(tmp_path):
    (tmp_path / "draft-abc.npz").write_bytes(b"half")
    Folder(tmp_path).close()
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "thesis.doc").write_text("three years")
    with pytest.raises(InputError, match=r"contains other files \('thesis.doc'\); name a new"):
        Folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]
    with pytest.raises(InputError, match=r"'.*thesis.doc' is a file; name a folder"):
        Folder(tmp_path / "thesis.doc")


def test_a_write_that_fails_leaves_nothing(folder, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    before = sorted(folder.path.iterdir())
    with pytest.raises(OSError, match="No space"):
        folder.write("full", 0, content(1))
    assert sorted(folder.path.iterdir()) == before


def test_what_the_run_is_comes_back(folder):
    assert folder.read_run() is None
    folder.write_run({"a": [1, "x"]})
    assert folder.read_run() == {"a": [1, "x"]}
    for text in ("{", "[]"):
        (folder.path / "run.json").write_text(text)
        with pytest.raises(ValueError, match="."):
            folder.read_run()
