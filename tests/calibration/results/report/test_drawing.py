import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.results.report import drawing

positive = st.floats(1e-6, 1e9)


def test_an_axis_may_span_all_numbers():
    assert 1 < len(drawing.Axis(1e-307, 1e307, 0, 1, log=True).ticks()) <= 10


@given(positive, st.floats(1.1, 1e9), st.booleans())
def test_ticks_are_few_and_inside_the_axis(low, factor, log):
    axis = drawing.Axis(low, low * factor, 0, 100, log)
    ticks = axis.ticks()
    assert len(ticks) <= 10
    assert ticks == sorted(set(ticks))
    assert all(low * 0.999 <= tick <= low * factor * 1.001 for tick in ticks)


@given(positive, st.floats(1.1, 1e9), st.booleans(), st.floats(0, 1))
def test_an_axis_keeps_the_order_and_its_ends(low, factor, log, share):
    axis = drawing.Axis(low, low * factor, 10, 90, log)
    between = low + share * (low * factor - low)
    assert axis(low) <= axis(between) + 1e-9 and axis(between) <= axis(low * factor) + 1e-9
    assert axis(low / 2) == axis(low) and axis(low * factor * 2) == axis(low * factor)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"))))
def test_texts_and_tips_stay_text(text):
    for drawn in (drawing.text(text, 0, 0, "end"), drawing.shape("rect", text, x=1)):
        assert "".join(ET.fromstring(drawn).itertext()) == text
