"""How the report and the command line write numbers: short, and never more than is so."""

from __future__ import annotations

#: From where on a word takes over, what it stands for, and the word.
_WORDS = ((1e12, 1e12, "trillion"), (1e9, 1e9, "billion"), (1e7, 1e6, "million"))


def percent(share: float) -> str:
    """Write a share >= 0: ``1.83%``; less than all is not ``100%``, a little not ``0%``."""
    if share == 0:
        return "0%"
    if share < 0.999999e-5:
        return "<0.001%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{share * 100:.3g}%" if share < 1 else f"{share * 100:,.0f}%"


def signed(share: float) -> str:
    """Write an error as a share, with its sign: ``+1.83%``, ``−100%``."""
    size = percent(abs(share))
    if not size[0].isdigit() or share == 0:
        return size
    return ("−" if share < 0 else "+") + size


def amount(number: float) -> str:
    """Write a count or a total: ``5,545``, ``34.2 billion``, ``0.125``."""
    size = abs(number)
    sign = "−" if number < 0 else ""
    for start, unit, word in _WORDS:
        if size >= start:
            return f"{sign}{size / unit:,.4g} {word}"
    return sign + (f"{size:,.0f}" if size >= 1000 else f"{size:.4g}")
