import hashlib
import io

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from l0.common.digested_files import DigestedFile


@given(st.lists(st.binary()))
def test_the_digest_is_that_of_all_bytes_however_they_are_cut(pieces):
    whole = b"".join(pieces)
    out = io.BytesIO()
    for file in (DigestedFile(), DigestedFile(out)):
        assert [file.write(piece) for piece in pieces] == list(map(len, pieces))
        assert file.digest.digest() == hashlib.sha256(whole).digest()
        assert file.tell() == file.written == len(whole)
    assert out.getvalue() == whole


def test_arrays_count_in_bytes_and_arrow_writes_to_it():
    out = io.BytesIO()
    file = DigestedFile(out)
    assert file.write(np.arange(3, dtype=np.int64).data) == 24
    table = pa.table({"x": [1, 2]})
    with pa.PythonFile(file, mode="w") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    assert not file.closed
    assert file.written == len(out.getvalue())
    assert file.digest.digest() == hashlib.sha256(out.getvalue()).digest()
    assert pa.ipc.open_file(out.getvalue()[24:]).read_all().equals(table)
