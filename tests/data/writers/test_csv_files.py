import datetime as dt
import gzip

import pyarrow as pa
import pytest

from l0.common.errors import InputError
from l0.data.readers.csv_form import SUFFIXES, CsvForm
from l0.data.tables import read_table
from l0.data.writers import write_table

TABLE = pa.table(
    {
        "code": ["01", None], "x": [1.5, float("nan")], "n": [7, None], "ok": [True, False],
        "day": [dt.date(2020, 1, 2), None], "text": ['a,"b"', "c\nd"],
        "kind": pa.array(["u", "v"]).dictionary_encode(),
    }
)  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_a_file_of_any_suffix_is_read_back(tmp_path, suffix, case):
    table = pa.table({"code": ["01", "x"], "n": [7, None]})
    assert write_table(table, tmp_path / case(f"a{suffix}"), "path") == []
    assert read_table(tmp_path / case(f"a{suffix}"), "records")[0].equals(table)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_cells_are_written_plainly(tmp_path, name):
    assert write_table(TABLE, tmp_path / name, "path") == []
    opened = gzip.open if name.endswith("gz") else open
    with opened(tmp_path / name, "rt", encoding="utf-8", newline="") as file:
        assert file.read() == (
            'code,x,n,ok,day,text,kind\n01,1.5,7,true,2020-01-02,"a,""b""",u\n,,,false,,"c\nd",v\n'
        )


def test_the_form_of_the_source_is_the_form_of_the_file(tmp_path):
    form = CsvForm(";", ",", "", "latin-1")
    write_table(pa.table({"ort": ["Köln"], "w": [1.5]}), tmp_path / "a.csv", "path", form)
    assert (tmp_path / "a.csv").read_bytes() == "ort;w\nKöln;1,5\n".encode("latin-1")
    write_table(pa.table({"ort": ["Köln"], "w": [1.5]}), tmp_path / "a.tsv", "path", form)
    assert (tmp_path / "a.tsv").read_bytes() == "ort\tw\nKöln\t1,5\n".encode("latin-1")
    write_table(pa.table({"a": ["b"]}), tmp_path / "b.csv", "path", CsvForm("\t"))
    assert read_table(tmp_path / "b.csv", "records")[0].to_pydict() == {"a": ["b"]}


def test_signs_that_the_encoding_lacks_are_named_and_nothing_is_written(tmp_path):
    with pytest.raises(InputError, match=r"written as latin-1, .* which has no '€'; write .parq"):
        write_table(pa.table({"a": ["€"]}), tmp_path / "a.csv", "path", CsvForm(encoding="latin-1"))
    assert list(tmp_path.iterdir()) == []


def test_lists_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"cannot hold the columns 'x \(list<"):
        write_table(pa.table({"x": [[1]]}), tmp_path / "a.csv", "path")
