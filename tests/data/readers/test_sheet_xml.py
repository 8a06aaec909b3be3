import zipfile

import numpy as np
import pytest

from l0.common.errors import InputError
from l0.data.readers.sheet_xml import address, lost_cells
from l0.data.tables import read_table

pytest.importorskip("python_calamine")
xlsxwriter = pytest.importorskip("xlsxwriter")

HEAD = (
    '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0">'
    "<office:body><office:spreadsheet>"
)
MANIFEST = '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
TAIL = "</office:spreadsheet></office:body></office:document-content>"
ERROR = (
    '<table:table-cell table:formula="of:=NA()" office:value-type="string" '
    'office:string-value="" calcext:value-type="error"><text:p>#N/A</text:p></table:table-cell>'
)
UNCOMPUTED = '<table:table-cell table:formula="of:=1+1"/>'
MERGED = (
    '<table:table-cell table:number-rows-spanned="2" office:value-type="string"><text:p>N</text:p>'
    "</table:table-cell>"
)
COVERED = "<table:covered-table-cell/>"


def text(cell):
    return (
        f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>'
    )


def write_ods(path, sheets):
    """Write sheets, each a list of rows of cells in XML."""
    tables = "".join(
        f'<table:table table:name="{name}">'
        + "".join(f"<table:table-row>{''.join(row)}</table:table-row>" for row in rows)
        + "</table:table>"
        for name, rows in sheets.items()
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", MANIFEST)
        archive.writestr("content.xml", HEAD + tables + TAIL)
    return path


def write_excel(path, change):
    book = xlsxwriter.Workbook(str(path))
    book.add_worksheet("Notes").write_formula("A1", "=NA()", None, "#N/A")
    sheet = book.add_worksheet("A & B")
    for row, cells in enumerate((("variable", "region", "value"), ("count", "N", 5))):
        sheet.write_row(row + 1, 1, cells)
    sheet.write_formula("D4", "=1+1", None, 2)
    sheet.write("B4", "count")
    change(sheet)
    book.close()
    return path


def test_addresses():
    assert [address(0, place) for place in (0, 25, 26, 701, 702)] == [
        "A1",
        "Z1",
        "AA1",
        "ZZ1",
        "AAA1",
    ]


@pytest.mark.parametrize(
    ("change", "kind", "where", "match"),
    [
        (
            lambda of: of.write_formula("C4", "=NA()", None, "#N/A"),
            "errors",
            "C4",
            "cells with an ",
        ),
        (lambda of: of.merge_range("C3:C4", "N"), "merged", "C3:C4", "merged ranges"),
        (lambda of: of.write_formula("C4", "=A1", None, ""), "formulas", "C4", "without a value"),
    ],
)
def test_what_excel_has_and_the_reader_takes_for_empty_is_refused(
    tmp_path, change, kind, where, match
):
    path = write_excel(tmp_path / "a.xlsx", change)
    assert lost_cells(path, "A & B")[kind] == [where]
    with pytest.raises(
        InputError, match=rf"`targets`: .*{match}.*\('{where}'\), which would be rea"
    ):
        read_table(f"{path}#A & B", "targets")


def test_empty_cells_are_no_fault(tmp_path):
    path = write_excel(tmp_path / "a.xlsx", lambda sheet: None)
    assert lost_cells(path, "A & B") == {"errors": [], "formulas": [], "merged": []}
    table, _ = read_table(f"{path}#A & B", "targets")
    assert table["region"].to_pylist() == ["N", None]


def test_a_formula_whose_result_is_an_empty_text_is_no_fault(tmp_path):
    path = write_excel(
        tmp_path / "a.xlsx", lambda sheet: sheet.write_formula("C4", "=A1", None, "")
    )
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    part = "xl/worksheets/sheet2.xml"
    parts[part] = parts[part].replace(b'<c r="C4"', b'<c r="C4" t="str"')
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    assert read_table(f"{path}#A & B", "targets")[0]["region"].to_pylist() == ["N", None]


@pytest.mark.parametrize(
    ("cells", "kind"), [((ERROR, ""), "errors"), ((UNCOMPUTED, ""), "formulas")]
)
def test_the_same_in_open_document(tmp_path, cells, kind):
    rows = [[text("variable"), text("region")], [text("count"), cells[0]]]
    path = write_ods(tmp_path / "a.ods", {"Notes": [[ERROR]], "A": rows})
    assert lost_cells(path, "A")[kind] == ["B2"]
    with pytest.raises(InputError, match=r"\('B2'\), which would be read as empty"):
        read_table(f"{path}#A", "targets")


def test_merged_cells_of_open_document(tmp_path):
    rows = [
        [text("variable"), text("region")], [text("count"), MERGED], [text("count"), COVERED],
    ]  # fmt: skip
    path = write_ods(tmp_path / "a.ods", {"A": rows})
    with pytest.raises(InputError, match=r"has merged ranges \('B2'\)"):
        read_table(path, "targets")
    path = write_ods(tmp_path / "b.ods", {"A": rows[:1] + [[text("count"), text("N")]]})
    assert read_table(path, "targets")[0].to_pydict() == {"variable": ["count"], "region": ["N"]}


@pytest.mark.parametrize("kind", ["xlsx", "ods"])
def test_a_damaged_file_is_an_error_of_the_file(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "ods":
        write_ods(path, {"A & B": [[text("a"), ERROR]]})
    else:
        write_excel(path, lambda sheet: None)
    sound, rng = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        content = bytearray(sound)
        for place in rng.integers(len(content), size=rng.integers(1, 9)):
            content[place] ^= 1 << rng.integers(8)
        path.write_bytes(
            bytes(content[: rng.integers(1, len(content))] if rng.random() < 0.3 else content)
        )
        try:
            lost_cells(path, "A & B")
        except OSError as error:
            refused += 1
            assert str(error)
    assert refused > 100
