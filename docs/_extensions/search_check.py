"""Check after a build that a search for the words of the field finds the pages about them."""

from __future__ import annotations

import json
import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish
from sphinx.util.logging import getLogger

#: What is searched, and pages that have it in a title, in a heading or as an entry of the index.
#: The search of the site lists such pages before those that only mention the words.
WANTED = {
    "raking": ("from_r", "cookbook", "glossary"),
    "post-stratification": ("from_r", "cookbook", "glossary"),
    "trim": ("from_r", "cookbook", "glossary"),
    "PopulationSim": ("from_populationsim",),
    "microcalibrate": ("from_microcalibrate",),
    "ipfn": ("from_ipf",),
    "GPU": ("large_files",),
    "several machines": ("large_files",),
    "torchrun": ("large_files",),
    "bootstrap": ("cookbook", "faq", "glossary"),
    "mean": ("survey", "cookbook"),
    "integer weights": ("survey", "cookbook", "glossary"),
    "design effect": ("glossary",),
    "synthetic population": ("survey", "cookbook", "glossary"),
    "GREG": ("cookbook", "glossary"),
    "standard errors": ("standard_errors", "from_r"),
    "bounds": ("survey", "cookbook"),
    "FAQ": ("faq",),
    "holdout": ("glossary",),
    "compare results": ("survey",),
    "report": ("survey",),
    "loop": ("loop",),
    "sentence transformer": ("minilm",),
    "pre-trained": ("minilm",),
    "stability": ("features",),
    "intervals": ("features",),
    "PySINDy": ("features",),
}


def found_by_heading(index: dict, query: str) -> set[str]:
    """Name the pages with all words of a query in titles and headings, or with an index entry."""
    stem = SearchEnglish({}).stem
    pages = set(index["docnames"])
    for word in re.findall(r"\w+", query.lower()):
        places = index["titleterms"].get(stem(word), [])
        pages &= {index["docnames"][i] for i in ([places] if isinstance(places, int) else places)}
    entries = index["indexentries"].items()
    hits = [places for entry, places in entries if query.lower() in entry.lower()]
    return pages | {index["docnames"][place[0]] for places in hits for place in places}


def check_search(app: Sphinx, exception: Exception | None) -> None:
    """Warn of pages that a search does not find by a heading."""
    if exception or app.builder.name != "html":
        return
    text = Path(app.outdir, "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text[text.index("{") : text.rindex("}") + 1])
    for query, pages in WANTED.items():
        missing = sorted(set(pages) - found_by_heading(index, query))
        if missing:
            getLogger(__name__).warning("a search for %r misses %s", query, ", ".join(missing))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the check."""
    app.connect("build-finished", check_search)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
