"""How many rows of each table of a survey are kept, and what they add up to."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.inputs.survey import Survey


def entity_table(
    survey: Survey, design_weights: NDArray[np.float64], weights: NDArray[np.float64]
) -> pa.Table:
    """Count the rows of the records and of each member table, as they are and weighted.

    Parameters
    ----------
    survey : Survey
    design_weights, weights : ndarray of float64, shape (n,)
        The weights of the survey's records, in their order. A record that is not kept has the
        weight 0.

    Returns
    -------
    pyarrow.Table
        `entity` ("" for the records), `rows`, `rows_kept`, `design_total` and `total` (the sums of
        the weights over the rows).
    """
    entities = {"": survey.records, **survey.members}
    record = [entity.record for entity in entities.values()]
    return pa.table(
        {
            "entity": pa.array(entities, pa.string()),
            "rows": pa.array([len(of) for of in record], pa.int64()),
            "rows_kept": pa.array([int(np.sum(weights[of] != 0)) for of in record], pa.int64()),
            "design_total": [float(design_weights[of].sum()) for of in record],
            "total": [float(weights[of].sum()) for of in record],
        }
    )
