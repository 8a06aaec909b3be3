import json
import re

from l0.calibration.results.report.page import embedded, page


def test_data_in_a_script_cannot_end_it():
    data = {"name": "</script><script>alert(1)", "values": [1.5, None]}
    text = str(embedded(data))
    assert "<" not in text
    assert json.loads(text) == data


def test_a_page_is_one_file_with_its_style_and_scripts():
    text = page("base.html.j2")
    assert "class DataTable" in text and "prefers-color-scheme: dark" in text
    assert not re.search(r"\bsrc=|@import|url\(|https?:", text)
