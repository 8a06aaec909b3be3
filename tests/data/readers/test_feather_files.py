import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest

from l0.common.errors import InputError
from l0.data.locations import Location
from l0.data.readers.feather_files import read_feather
from l0.data.tables import read_table


def test_columns_come_back_as_they_were_written(tmp_path):
    table = pa.table({"id": ["01", "1"], "x": [1.5, None], "big": [2**60, 1]})
    pa.feather.write_feather(table, tmp_path / "a.feather")
    assert read_feather(Location(tmp_path / "a.feather"), "records", None, None).equals(table)


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "a.feather").write_text("no feather")
    with pytest.raises(InputError, match=r"`records`: cannot read '.*a.feather': .*write it again"):
        read_table(tmp_path / "a.feather", "records")


def test_places_of_texts_outside_of_the_file_are_refused(tmp_path):
    file = tmp_path / "a.feather"
    pa.feather.write_feather(pa.table({"a": ["one", "two"]}), file, compression="uncompressed")
    content = file.read_bytes()
    ends = np.array([0, 3, 6], np.int32).tobytes()
    assert ends in content
    file.write_bytes(content.replace(ends, np.array([0, 3, 2**30], np.int32).tobytes()))
    with pytest.raises(InputError, match=r"`records`: cannot read .*offset.*write it again"):
        read_table(file, "records")


def test_a_length_beyond_the_memory_is_refused(tmp_path):
    file = tmp_path / "a.feather"
    pa.feather.write_feather(pa.table({"a": np.arange(1000) % 7}), file, compression="lz4")
    content, length = file.read_bytes(), np.int64(8000).tobytes()
    assert length in content
    file.write_bytes(content.replace(length, np.int64(2**54).tobytes()))
    with pytest.raises(InputError, match=r"`records`: cannot read .*damaged, or too large"):
        read_table(file, "records")
