"""Tables about features, as frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.data.tables import Kind, checked_kind, native


def frame(columns: Mapping[str, Any], kind: Kind | None) -> Any:
    """Return columns as a frame of a kind; by default of pandas, or of pyarrow without pandas.

    Parameters
    ----------
    columns : dict of str to array or list
    kind : {"pandas", "polars", "pyarrow"}, optional

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
    """
    default: Kind = "pandas" if find_spec("pandas") else "pyarrow"
    chosen = checked_kind(kind, default)
    return native(pa.table({name: pa.array(values) for name, values in columns.items()}), chosen)


def for_each_outcome(
    columns: Mapping[str, Any], outcomes: Sequence[Any] | NDArray[Any]
) -> dict[str, Any]:
    """Repeat columns about features for each outcome or class, which a column `outcome` names."""
    n_rows = len(next(iter(columns.values())))
    # An array of no names would have numbers.
    found: dict[str, Any] = {
        name: each * len(outcomes) if isinstance(each, list) else np.tile(each, len(outcomes))
        for name, each in columns.items()
    }
    return {**found, "outcome": np.repeat(outcomes, n_rows)}


def feature_names(estimator: Any) -> Sequence[Any]:
    """Return the names of the columns of a fitted estimator, or their positions without names."""
    names = getattr(estimator, "feature_names_in_", None)
    return range(estimator.n_features_in_) if names is None else np.asarray(names).tolist()
