import gzip

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.common.errors import InputError
from l0.data.locations import locate
from l0.data.readers.csv_form import SIGNS, SUFFIXES, CsvForm, form_of, opened
from l0.data.tables import read_table


def test_the_form_is_named_by_words():
    form = form_of(
        locate("a.csv#separator=semicolon,decimal=comma,thousands=point,encoding=latin-1"), "x"
    )
    assert form == CsvForm(";", ",", ".", "iso8859-1")
    assert form_of(locate("a.csv"), "x") == CsvForm()
    assert form_of(locate("A.TSV.gz"), "x").separator == "\t"


@pytest.mark.parametrize("suffix", [*SUFFIXES, *(suffix.upper() for suffix in SUFFIXES)])
def test_a_file_is_opened_by_its_ending_in_any_case(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write = gzip.open if suffix.lower().endswith(".gz") else open
    with write(path, "wb") as file:
        file.write("town\nOrléans\n".encode("latin-1"))
    with opened(locate(path)) as file:
        assert file.read() == b"town\nOrl\xe9ans\n"
    assert read_table(f"{path}#encoding=latin-1", "x")[0]["town"].to_pylist() == ["Orléans"]
    with pytest.raises(InputError, match=r"is not UTF-8 text in row 0, column 'town'"):
        read_table(path, "x")


@pytest.mark.parametrize(
    ("part", "match"),
    [
        ("separator=;", r"separator is ';' .*; write one of the words 'comma', 'semicolon', 'tab'"),
        ("encoding=klingon", r"'klingon' is no known encoding; write utf-8, latin-1"),
        ("decimal=comma,thousands=comma", r"decimal and thousands are both ',' .*name two"),
        ("sep=tab", r"'sep=tab' .* is no option .*there are: 'decimal', 'encoding'|closest"),
    ],
)
def test_wrong_forms_are_named(part, match):
    with pytest.raises(InputError, match=match):
        form_of(locate(f"a.csv#{part}"), "records")


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1.234,5", "7"], [1234.5, 7.0]),
        (["1.234", "-1.234.567"], [1234, -1234567]),
        (["01.234", "1"], None),
        (["1.23", "1"], None),
        (["1.234", "about 2"], None),
        ([None, "5"], [None, 5]),
    ],
)
def test_groups_of_digits(cells, numbers):
    form = CsvForm(";", ",", ".")
    found = form.ungrouped(pa.chunked_array([cells])).to_pylist()
    assert found == (cells if numbers is None else numbers)


def test_a_german_table_is_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(
        "ort;einkommen;plz;anteil\nKöln;1.234.567,5;01067;0,5\nUlm;12;89073;1\n".encode("cp1252")
    )
    table, _ = read_table(
        f"{path}#separator=semicolon,decimal=comma,thousands=point,encoding=cp1252", "records"
    )
    assert table.to_pydict() == {
        "ort": ["Köln", "Ulm"], "einkommen": [1234567.5, 12.0], "plz": ["01067", "89073"],
        "anteil": [0.5, 1.0],
    }  # fmt: skip


def test_targets_in_another_form(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("state;value\n01;1.234,5\n02;7\n")
    form = "#separator=semicolon,decimal=comma,thousands=point"
    table, _ = read_table(f"{path}{form}", "targets", {"value": pa.float64()})
    assert table.to_pydict() == {"state": ["01", "02"], "value": [1234.5, 7.0]}
    path.write_text("state;value\n01;1,234.5\n")
    with pytest.raises(InputError, match=r"'1,234.5' in rows 0\); write them like 28717.16, or"):
        read_table(f"{path}{form}", "targets", {"value": pa.float64()})


@given(
    numbers=st.lists(st.integers(-(10**12), 10**12), min_size=1),
    decimal=st.sampled_from(["point", "comma"]),
    thousands=st.sampled_from(["space", "apostrophe"]),
)
def test_numbers_come_back_from_any_form(numbers, decimal, thousands):
    form = CsvForm(decimal=SIGNS["decimal"][decimal], thousands=SIGNS["thousands"][thousands])
    cells = [
        f"{number:,}".replace(",", form.thousands) + (form.decimal + "5" if place else "")
        for place, number in enumerate([0, *numbers])
    ]
    expected = [
        0.0,
        *(number - 0.5 if f"{number}"[0] == "-" else number + 0.5 for number in numbers),
    ]
    assert form.ungrouped(pa.chunked_array([cells])).to_pylist() == expected


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        ("decimal=comma", "1.234"),
        ("decimal=comma,thousands=point", "1.5"),
        ("decimal=comma", "1,234,567"),
        ("thousands=comma", "12,34.5"),
    ],
)
def test_a_number_of_another_form_is_no_number(tmp_path, form, cell):
    path = tmp_path / "t.csv"
    path.write_text(f"state;value\n01;5\n02;{cell}\n")
    where = f"{path}#separator=semicolon,{form}"
    with pytest.raises(InputError, match=rf"'value' .* 1 cell .*\('{cell}' in rows 1\)"):
        read_table(where, "targets", {"value": pa.float64()})
    assert read_table(where, "records")[0]["value"].to_pylist() == ["5", cell]


@pytest.mark.parametrize("types", [None, {"value": pa.float64()}])
@pytest.mark.parametrize("cells", [["1.234"], ["28.717", "950", ""]])
def test_a_point_that_may_group_digits_must_be_explained(tmp_path, cells, types):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["x;value", *(f"a;{cell}" for cell in cells), ""]))
    with pytest.raises(InputError, match=rf"'value' .*may group digits \('{cells[0]}'\).*decimal="):
        read_table(f"{path}#separator=semicolon", "targets", types)
    for form, factor in (("decimal=point", 1), ("decimal=comma,thousands=point", 1000)):
        table, _ = read_table(f"{path}#separator=semicolon,{form}", "targets", types)
        assert table["value"][0].as_py() == pytest.approx(float(cells[0]) * factor)


@pytest.mark.parametrize("cells", [["1.234", "0.5"], ["0.123"], ["1234.567"], ["5"]])
def test_a_point_that_must_be_decimal_needs_no_word(tmp_path, cells):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["x;value", *(f"a;{cell}" for cell in cells)]))
    table, _ = read_table(f"{path}#separator=semicolon", "targets")
    assert table["value"].to_pylist() == [float(cell) for cell in cells]


def test_empty_cells_are_the_same_with_groups_of_digits(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('x,y\n"1,234.5",NA\nNA,1e3\n-2,5\n')
    table, _ = read_table(f"{path}#thousands=comma", "records")
    assert table.to_pydict() == {"x": [1234.5, None, -2.0], "y": [None, 1000.0, 5.0]}
