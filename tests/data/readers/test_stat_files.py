import datetime as dt

import pandas as pd
import pytest

import l0
from l0.common.errors import InputError
from l0.data.codings import coding_of
from l0.data.tables import read_file, read_table

pyreadstat = pytest.importorskip("pyreadstat")


def write_homes(path):
    """A file of Stata with labels and missing codes."""
    frame = pd.DataFrame(
        {
            "id": pd.Series([1, 2, 3], dtype="int32"),
            "income": pd.Series([10.5, "a", None], dtype=object),
            "rooms": pd.Series([2, "b", "b"], dtype=object),
            "only": pd.Series(["a", "a", "c"], dtype=object),
            "town": ["Köln", "Ulm", ""],
            "since": [dt.date(1999, 1, 2), None, dt.date(2020, 1, 1)],
        }
    )
    pyreadstat.write_dta(
        frame, str(path), file_label="Homes",
        column_labels={"rooms": "Rooms"},
        missing_user_values={"income": ["a"], "rooms": ["b"], "only": ["a", "c"]},
        variable_value_labels={"rooms": {1: "one", 2: "two", "b": "refused"}},
    )  # fmt: skip
    return path


def write_persons(path):
    """A file of SPSS with labels and missing codes."""
    frame = pd.DataFrame(
        {"id": [1.0, 1.0, 2.0, 3.0], "age": [99.0, 7.5, 40.0, 98.0], "sex": [1.0, 2.0, 9.0, 2.0],
         "job": ["NA", "baker", "", "NA"]}
    )  # fmt: skip
    pyreadstat.write_sav(
        frame, str(path), compress=path.suffix == ".zsav",
        missing_ranges={"age": [{"lo": 98, "hi": 99}], "sex": [9], "job": ["NA"]},
        variable_value_labels={"sex": {1.0: "Men", 2.0: "Women", 9.0: "unknown"}},
        variable_measure={"sex": "nominal"}, variable_format={"age": "F4.1"},
    )  # fmt: skip
    return path


def test_stata_has_nulls_for_missing_codes_and_labels_beside_the_columns(tmp_path):
    table, _ = read_table(write_homes(tmp_path / "a.dta"), "records")
    assert table.to_pydict() == {
        "id": [1, 2, 3], "income": [10.5, None, None], "rooms": [2, None, None],
        "only": [None, None, None], "town": ["Köln", "Ulm", ""],
        "since": [dt.date(1999, 1, 2), None, dt.date(2020, 1, 1)],
    }  # fmt: skip
    rooms = coding_of(table.schema.field("rooms"))
    assert (rooms.program, rooms.label, rooms.found) == ("stata", "Rooms", {"b": 2})
    assert rooms.values == [[1, "one"], [2, "two"], ["b", "refused"]]
    assert str(table.schema.field("rooms").type) == "int64"


@pytest.mark.parametrize("name", ["a.sav", "a.zsav"])
def test_spss_has_nulls_for_missing_codes_and_integers_where_all_are_whole(tmp_path, name):
    path = write_persons(tmp_path / name)
    table, _ = read_table(path, "members")
    assert table.to_pydict() == {
        "id": [1, 1, 2, 3], "age": [None, 7.5, 40.0, None], "sex": [1, 2, None, 2],
        "job": [None, "baker", "", None],
    }  # fmt: skip
    assert [str(field.type) for field in table.schema] == ["int64", "double", "int64", "string"]
    raw = read_file(path, "members", keep_codes=True)
    assert raw["sex"].to_pylist() == [1, 2, 9, 2]
    sex = coding_of(raw.schema.field("sex"))
    assert (sex.measure, sex.missing) == ("nominal", [[9.0, 9.0]])


def test_a_sas_transport_file_is_read(tmp_path):
    frame = pd.DataFrame({"id": [1.0, 2.0], "x": [0.5, None], "s": ["a", "b"]})
    pyreadstat.write_xport(frame, str(tmp_path / "a.xpt"))
    table, _ = read_table(tmp_path / "a.xpt", "records")
    assert table.to_pydict() == {"id": [1, 2], "x": [0.5, None], "s": ["a", "b"]}


@pytest.mark.parametrize("suffix", ["dta", "sav", "zsav", "sas7bdat", "xpt"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_broken_file_is_named(tmp_path, suffix, whole):
    path = tmp_path / f"a.{suffix}"
    if whole and suffix in ("dta", "sav", "zsav"):
        (write_homes if suffix == "dta" else write_persons)(path)
        path.write_bytes(path.read_bytes()[:-200])
    else:
        path.write_text("no such file")
    with pytest.raises(InputError, match=rf"`records`: cannot read '.*a.{suffix}': .*write it aga"):
        read_table(path, "records")


def test_a_password_is_said(tmp_path):
    (tmp_path / "a.sav").write_bytes(b"\x1c\0\0\0ENCRYPTEDSAV\x15" + bytes(100))
    with pytest.raises(
        InputError, match=r"'.*a.sav' is encrypted with a password; save it without"
    ):
        read_table(tmp_path / "a.sav", "records")


def test_text_in_another_encoding_is_found_and_read_with_its_name(tmp_path):
    path = tmp_path / "a.dta"
    frame = pd.DataFrame({"id": range(5), "town": ["Ulm", "Ulm", "Ulm", "Xzln", "Ulm"]})
    pyreadstat.write_dta(frame, str(path))
    path.write_bytes(path.read_bytes().replace(b"Xzln", "Köln".encode("latin-1")))
    with pytest.raises(
        InputError,
        match=r"'.*a.dta' has text in another encoding in column 'town', row 3 .*latin-1'",
    ):
        read_table(path, "records")
    table, _ = read_table(f"{path}#encoding=latin-1", "records")
    assert table["town"].to_pylist()[3] == "Köln"


def test_a_damaged_file_of_spss_without_a_name_of_a_column_is_named(tmp_path):
    file = tmp_path / "a.sav"
    pyreadstat.write_sav(pd.DataFrame({"id": [1.0], "age": [3.0]}), str(file))
    file.write_bytes(file.read_bytes().replace(b"AGE", bytes(3), 1))
    with pytest.raises(InputError, match=r"`records`: cannot read '.*a.sav': .*no name"):
        read_table(file, "records")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    path = write_homes(tmp_path / "a.dta")
    monkeypatch.setitem(__import__("sys").modules, "pyreadstat", None)
    with pytest.raises(
        InputError, match=r'pyreadstat; install it: pip install "l0-python\[files\]"'
    ):
        read_table(path, "records")


def test_codes_and_labels_count_the_same_cells(tmp_path):
    homes = pd.DataFrame(
        {"id": range(40), "sex": [1.0, 2.0] * 20, "income": [1.0, 99.0, 3.0, 4.0] * 10}
    )
    path = tmp_path / "a.sav"
    pyreadstat.write_sav(
        homes, str(path), missing_ranges={"income": [99]},
        variable_value_labels={"sex": {1.0: "Men", 2.0: "Women"}},
    )  # fmt: skip
    found = []
    for levels in (["Men", "Women"], ["1", "2"]):
        targets = pd.DataFrame({"variable": ["count"] * 2, "sex": levels, "value": [25.0, 31.0]})
        result = l0.calibrate(path, targets, key="id", n_records=10, epochs=10)
        found.append(result.values)
        assert (
            "`records` have missing codes, which count as empty cells, in the columns "
            in "".join(result.run["notes"])
        )
    assert (found[0] == found[1]).all()
    targets = pd.DataFrame({"variable": ["income"], "value": [25.0]})
    with pytest.raises(InputError, match=r"'income' has 10 null.*with the missing codes '99' of"):
        l0.calibrate(path, targets, key="id")
