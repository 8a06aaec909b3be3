"""A page: a template of this room with its style and its scripts within, as one file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from l0.calibration.results.report.table import write_cell
from l0.calibration.results.summary import stated, stated_size
from l0.common.formatting import amount, percent

ROOM = "l0.calibration.results.report"


def page(template_name: str, **context: Any) -> str:
    """Render a page.

    Parameters
    ----------
    template_name : str
        A template in this room. It extends ``base.html.j2``, which holds the style and the scripts,
        and may take macros from ``macros.html.j2``. Text of the context stays text: the templates
        escape it.
    **context
        What the template shows.

    Returns
    -------
    str
        HTML that loads no other file.
    """
    return _environment().get_template(template_name).render(**context)


def embedded(data: Mapping[str, Any]) -> Markup:
    """Write data as JSON that can stand in a script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


@cache
def _environment() -> Environment:
    environment = Environment(
        # The user writes names and labels. With `autoescape` they stay text.
        autoescape=True,
        loader=FunctionLoader(_read),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["inlined"] = lambda name: Markup(_read(name))
    environment.filters.update(
        percent=percent, amount=amount, stated=stated, stated_size=stated_size,
        code=_code, cell=write_cell, embedded=embedded, kept=_kept,
    )  # fmt: skip
    return environment


def _read(name: str) -> str:
    return files(ROOM).joinpath(name).read_text(encoding="utf-8")


def _code(text: str) -> Markup:
    """Write what stands between backticks as code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _kept(text: str) -> Markup:
    """Write an attribute that a script compares: HTML would read a carriage return as a newline."""
    return Markup(str(escape(text)).replace("\r", "&#13;"))
