"""Tables as text and as HTML."""

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from l0.networks.report.tables import Table, html_table, text_table

CELLS = st.text("ab<>&\"' 1,.%", max_size=50)
TABLES = st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=4).map(
    lambda rows: Table(("name", "one", "two"), rows)
)


def test_names_are_on_the_left_and_numbers_on_the_right():
    table = Table(("layer", "units"), [("a", "1,000"), ("longer", "7")])
    assert text_table(table) == "layer   units\na       1,000\nlonger      7"


def test_long_names_are_cut_and_html_shows_them_whole_under_the_pointer():
    table = Table(("layer",), [("x" * 40,), ("y" * 41,)])
    assert text_table(table).splitlines()[1:] == ["x" * 40, "y" * 37 + "..."]
    short, cut = ElementTree.fromstring(html_table(table)).iter("td")
    assert (short.text, short.get("title")) == ("x" * 40, None)
    assert (cut.text, cut.get("title")) == ("y" * 37 + "...", "y" * 41)


@given(table=TABLES)
def test_any_text_is_escaped(table):
    page = ElementTree.fromstring(html_table(table))
    rows = [[cell.text or "" for cell in row] for row in page.iter("tr")]
    assert [row[1:] for row in rows] == [list(row[1:]) for row in (table.head, *table.rows)]
    assert {element.tag for element in page.iter()} <= {"table", "thead", "tbody", "tr", "th", "td"}


@given(table=TABLES)
def test_there_is_a_line_for_each_row_and_none_ends_with_blanks(table):
    lines = text_table(table).split("\n")
    assert len(lines) == 1 + len(table.rows)
    assert all(line == line.rstrip() for line in lines)
