import re
import xml.etree.ElementTree as ET

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from l0.calibration.results.report import charts, drawing
from l0.common.formatting import amount

positive = st.floats(1e-6, 1e9)
errors = st.lists(st.floats(0, 1e6), min_size=1, max_size=30).map(np.array)


def parse(chart):
    """Well-formed, and nothing outside of the picture."""
    svg = ET.fromstring(chart)
    for element in svg.iter():
        for name in ("x", "x1", "x2", "cx"):
            assert -1e-6 <= float(element.get(name, 0)) <= drawing.WIDTH
        for name in ("y", "y1", "y2", "cy"):
            assert -1e-6 <= float(element.get(name, 0)) <= drawing.HEIGHT
    return svg


@given(errors, errors)
def test_a_cumulative_curve_rises_to_the_share_it_states(before, after):
    svg = parse(
        charts.cumulative(
            {"before": before, "after": after}, things="targets", lowest=1e-5, label="errors"
        )
    )
    for line in svg.iter("polyline"):
        heights = [float(point.split(",")[1]) for point in line.get("points").split()]
        assert heights == sorted(heights, reverse=True)
    if after.max() <= charts.LARGEST_SHOWN:
        assert svg.findall(".//title")[-1].text.endswith("after: 100%")


@given(st.lists(positive, min_size=1, max_size=50).map(np.array))
def test_a_histogram_counts_every_value(values):
    svg = parse(charts.histogram(values, unit="ratio", things="records", label="ratios"))
    told = [re.search(r": ([\d,]+) records$", t.text).group(1) for t in svg.iter("title")]
    assert sum(int(count.replace(",", "")) for count in told) == len(values)


losses = st.just(0.0) | st.floats(1e-12, 1e6)


@given(st.lists(losses, min_size=1, max_size=30).map(np.array), st.booleans())
def test_a_course_has_a_point_a_snapshot_and_a_line_a_stage(values, is_share):
    stages = ["full"] * (len(values) // 2) + ["refit"] * (len(values) - len(values) // 2)
    svg = parse(
        charts.course(
            np.arange(1.0, len(values) + 1), values, stages, is_share=is_share, unit="", label=""
        )
    )
    assert len(list(svg.iter("circle"))) == len(values)
    assert len(list(svg.iter("polyline"))) == len(set(stages))


def test_labels_stay_text():
    chart = charts.histogram(np.ones(2), unit="<b>", things="<i>", label='"><script>')
    assert "<b>" not in chart and "<i>" not in chart and "<script>" not in chart


@given(st.lists(st.tuples(positive, positive), min_size=1, max_size=30))
def test_every_thing_is_in_a_cell_of_a_chart_against(pairs):
    before, after = np.array(pairs).T
    chart = charts.against(
        before, after, write=amount, units=("b", "a"), things="records", label="l"
    )
    cells = [shape for shape in parse(chart).iter() if shape.get("class") == "cell"]
    counts = [int(cell[0].text.split(": ")[1].split()[0].replace(",", "")) for cell in cells]
    assert sum(counts) == len(pairs)
