"""Files and folders arrive whole or not at all, and nobody else's are touched."""

import errno
import os
from pathlib import Path

import pytest

import l0.common.atomic_files
from l0.common.atomic_files import check_replaceable, whole_file, whole_folder
from l0.common.errors import InputError

MARK = "mark.json"


def write(folder: Path, text: str) -> None:
    with whole_folder(folder, [MARK]) as draft:
        (draft / MARK).write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_replaced(tmp_path):
    for text in ("one", "two"):
        with whole_file(tmp_path / "deep" / "a.txt") as draft:
            draft.write_text(text)
        assert (tmp_path / "deep" / "a.txt").read_text() == text
    assert names(tmp_path / "deep") == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_file_that_fails_leaves_the_old_one(tmp_path, error):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(error), whole_file(tmp_path / "a.txt") as draft:
        draft.write_text("half of the n")
        raise error
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_file_is_seen_only_when_whole(tmp_path):
    with whole_file(tmp_path / "a.txt") as draft:
        draft.write_text("new")
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").exists()


def test_a_folder_in_the_place_of_a_file_is_refused_by_its_own_name(tmp_path):
    (tmp_path / "page.html").mkdir()
    with (
        pytest.raises(IsADirectoryError, match=r"a folder has this name; name a file: '.*/page.h"),
        whole_file(tmp_path / "page.html"),
    ):
        pass
    assert names(tmp_path) == ["page.html"]


def test_a_folder_is_written_and_replaced_as_a_whole(tmp_path):
    write(tmp_path / "out", "one")
    write(tmp_path / "out", "two")
    assert (tmp_path / "out" / MARK).read_text() == "two"
    assert names(tmp_path / "out") == [MARK]
    assert names(tmp_path) == ["out"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", "one")
    assert names(tmp_path / "out") == [MARK]


@pytest.fixture
def flushed(monkeypatch):
    """What was flushed to the disk (by inode), and when files were renamed."""
    events = []
    fsync, replace = os.fsync, os.replace

    def note_flush(number):
        events.append(os.fstat(number).st_ino)
        fsync(number)

    def note_rename(source, target):
        events.append("renamed")
        replace(source, target)

    monkeypatch.setattr(l0.common.atomic_files.os, "fsync", note_flush)
    monkeypatch.setattr(l0.common.atomic_files.os, "replace", note_rename)
    return events


on_posix = pytest.mark.skipif(os.name != "posix", reason="folders cannot be flushed")


@on_posix
def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_at_the_end(tmp_path, flushed):
    with whole_file(tmp_path / "new" / "deep" / "a.txt") as draft:
        draft.write_text("text")
    deep = tmp_path / "new" / "deep"
    places = [each.stat().st_ino for each in (deep / "a.txt", deep, deep.parent, tmp_path)]
    assert flushed[:2] == [places[0], "renamed"]
    assert flushed[2] == places[1]  # and then the folders that were made for it
    assert set(flushed[2:]) == set(places[1:])


@on_posix
def test_a_folder_is_on_the_disk_with_its_files_before_it_has_its_name(tmp_path, flushed):
    for text in ("one", "two"):
        flushed.clear()
        write(tmp_path / "out", text)
        files = {each.stat().st_ino for each in (tmp_path / "out" / MARK, tmp_path / "out")}
        assert set(flushed[: flushed.index("renamed")]) == files
        assert flushed[-1] == tmp_path.stat().st_ino


@on_posix
@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO])
def test_a_disk_that_cannot_flush_folders_is_no_error_and_one_that_fails_is(
    tmp_path, monkeypatch, code
):
    fsync = os.fsync

    def fail_for_folders(number):
        if os.fstat(number).st_ino == tmp_path.stat().st_ino:
            raise OSError(code, os.strerror(code))
        fsync(number)

    monkeypatch.setattr(l0.common.atomic_files.os, "fsync", fail_for_folders)
    if code == errno.EIO:
        with pytest.raises(OSError, match=os.strerror(code)):
            write(tmp_path / "out", "new")
    else:
        write(tmp_path / "out", "new")
    assert names(tmp_path) == ["out"]


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    write(tmp_path / "real", "one")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link", "two")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / MARK).read_text() == "two"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_folder_that_fails_leaves_the_old_one(tmp_path, error):
    write(tmp_path / "out", "old")
    with pytest.raises(error), whole_folder(tmp_path / "out", [MARK]) as draft:
        (draft / MARK).write_text("new")
        raise error
    assert (tmp_path / "out" / MARK).read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_a_folder_that_cannot_be_moved_into_place_leaves_the_old_one(tmp_path, monkeypatch):
    write(tmp_path / "out", "old")
    replace = os.replace

    def fail_for_the_new(source, target):
        if Path(source).parent != tmp_path and Path(source).name == "out":
            raise OSError(errno.EIO, "the disk failed")
        replace(source, target)

    monkeypatch.setattr(l0.common.atomic_files.os, "replace", fail_for_the_new)
    with pytest.raises(OSError, match="the disk failed"):
        write(tmp_path / "out", "new")
    assert (tmp_path / "out" / MARK).read_text() == "old"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("whole", [whole_file, lambda path: whole_folder(path, [MARK])])
def test_no_room_on_disk_is_said_so(tmp_path, code, whole):
    said = pytest.raises(OSError, match="no room on disk to write '.*out'; make room or write els")
    with said as caught, whole(tmp_path / "out"):
        raise OSError(code, os.strerror(code))
    assert caught.value.errno == code
    assert names(tmp_path) == []


def test_no_room_for_the_scratch_folder_is_said_so(tmp_path, monkeypatch):
    def full(**_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(l0.common.atomic_files.tempfile, "mkdtemp", full)
    with pytest.raises(OSError, match="no room on disk"):
        write(tmp_path / "out", "new")
    assert names(tmp_path) == []


def test_a_folder_with_other_files_is_refused(tmp_path):
    write(tmp_path / "out", "one")
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match=r"it contains other files \('thesis.txt'\); name a new"):
        write(tmp_path / "out", "two")
    assert names(tmp_path / "out") == [MARK, "thesis.txt"]


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("precious")
    with pytest.raises(InputError, match="'.*out' is a file; name a folder to write to"):
        write(tmp_path / "out", "new")
    assert (tmp_path / "out").read_text() == "precious"


@pytest.mark.parametrize("path", [".", ".."])
def test_the_working_folder_is_not_replaced(tmp_path, monkeypatch, path):
    (tmp_path / MARK).touch()
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / MARK).touch()
    monkeypatch.chdir(tmp_path / "inner")
    with pytest.raises(InputError, match="is in use and cannot be replaced; name a folder"):
        check_replaceable(path, [MARK])


def test_a_folder_that_cannot_be_made_is_refused_beforehand(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be made, because '.*file' is not a writable"):
        check_replaceable(tmp_path / "file" / "deep" / "out", [MARK])


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused_beforehand(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="cannot be made, because '.*locked' is not a writable"):
        check_replaceable(tmp_path / "locked" / "out", [MARK])
