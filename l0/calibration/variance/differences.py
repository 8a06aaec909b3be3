"""Differences of domains: each domain less one that it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.variance.domains import Domains
from l0.calibration.variance.statistics import Estimates
from l0.common.errors import InputError, closest, first_few
from l0.data.codings import level_of
from l0.data.columns import as_text


def difference(
    domains: Domains, found: Estimates, compared_with: Mapping[str, Any]
) -> tuple[Domains, Estimates]:
    """Subtract from each domain the one with other labels in some columns.

    The replicates are subtracted too, so that the variance has the covariance of both domains.

    Parameters
    ----------
    domains : Domains
    found : Estimates
    compared_with : mapping of str to object
        Label columns, and the label of each in the domain that is subtracted.

    Returns
    -------
    domains : Domains
        Those that are compared, without those that they are compared with.
    found : Estimates
        The differences. The numbers of records are the smaller ones of both domains.

    Raises
    ------
    InputError
        If a domain has no other to be compared with.
    """
    reference = np.ones(domains.size, dtype=bool)
    for name, label in compared_with.items():
        reference &= _has_label(domains, name, label)
    others = [name for name in domains.names if name not in compared_with]
    group = domains.within(others)
    place = np.full(group.max() + 1, -1)
    place[group[reference]] = np.flatnonzero(reference)
    compared = np.flatnonzero(~reference)
    if not compared.size:
        raise InputError(
            f"`compared_with` is {dict(compared_with)!r}, and no other domain is compared with "
            "it; name more columns in `by`, or pass a table with more labels"
        )
    base = place[group[compared]]
    lost = compared[base < 0]
    if lost.size:
        raise InputError(
            f"`compared_with` is {dict(compared_with)!r}, and {lost.size:,} domains have no such "
            f"domain beside them ({first_few([domains.named(each) for each in lost])}); leave "
            "their rows out of `table`"
        )
    kept = replace(
        domains,
        levels=domains.levels[compared],
        columns=tuple(values.take(pa.array(compared)) for values in domains.columns),
    )
    return kept, Estimates(
        found.values[compared] - found.values[base],
        np.fmin(found.effective_n[compared], found.effective_n[base]),
        np.minimum(found.n_records[compared], found.n_records[base]),
        np.minimum(found.n_amounts[compared], found.n_amounts[base]),
        np.full(len(compared), np.nan),
    )


def _has_label(domains: Domains, name: str, label: Any) -> NDArray[np.bool_]:
    """Tell which domains have a label, however it is written. None means a null."""
    texts = as_text(domains.labels.column(name))
    wanted = None if label is None else level_of(str(label), domains.labels, name, "table")
    inside = np.array([text == wanted for text in texts])
    if not inside.any():
        raise InputError(
            f"`compared_with` asks for {label!r} in {name!r}, which no domain has; "
            f"{closest(label, [text for text in texts if text is not None])}"
        )
    return inside
