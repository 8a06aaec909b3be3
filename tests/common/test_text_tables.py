from hypothesis import given
from hypothesis import strategies as st

from l0.common.text_tables import WIDEST, as_html, as_text

WORDS = st.text("abc", min_size=1, max_size=12)
CELLS = st.text("0123456789%,.", min_size=1, max_size=9)


@given(st.lists(WORDS, min_size=2, max_size=2), st.lists(st.tuples(WORDS, CELLS), min_size=1))
def test_every_cell_stands_in_its_column(head, rows):
    lines = as_text(head, rows).splitlines()
    assert len({len(line) for line in lines[-len(rows) :]}) == 1  # right-aligned at the end
    for line, (name, value) in zip(lines[-len(rows) :], rows, strict=True):
        assert line.split() == [name, value]


def test_a_head_too_wide_for_a_terminal_is_wrapped_between_words(monkeypatch):
    monkeypatch.setattr("l0.common.text_tables.TERMINAL", 20)
    text = as_text(("Records", "Mean error on targets"), [("1,386", "2.3%"), ("545", "12.3%")])
    assert text == (
        "            Mean\n"
        "           error\n"
        "              on\n"
        "Records  targets\n"
        "  1,386     2.3%\n"
        "    545    12.3%"
    )


def test_a_long_name_is_cut_and_names_go_to_the_left():
    line = as_text(("", "n"), [("x" * 99, "1"), ("y", "2")]).splitlines()
    assert line[1] == "x" * (WIDEST - 3) + "...  1"
    assert line[2].startswith("y ")


def test_names_that_start_with_a_digit_go_to_the_left_and_numbers_to_the_right():
    assert as_text(("layer", "n"), [("4.conv1", "1"), ("8", "2")]).splitlines()[2] == "8        2"
    assert as_text(("records", "n"), [("12.3 million", "1"), ("8", "2")]).splitlines()[2][11] == "8"


def test_a_table_without_rows_is_its_head():
    assert as_text(("name", "n"), []) == "name  n"


def test_in_html_names_stay_text():
    assert "<script>" not in as_html(("<b>",), [("<script>alert(1)</script>",)])
