"""The chosen features of a fitted estimator as a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from l0.data.tables import Kind
from l0.linear_model.frames import feature_names, for_each_outcome, frame


def summary_of(estimator: Any, kind: Kind | None) -> Any:
    """Return a row for each chosen column, and for each of several outcomes or classes.

    Parameters
    ----------
    estimator : L0Regressor, L0Classifier or L0Cox
        Fitted.
    kind : {"pandas", "polars", "pyarrow"}, optional

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
    """
    support, names = estimator.support_, feature_names(estimator)
    question = estimator._fitted_question
    members = question.members
    coefficients = np.atleast_2d(np.asarray(estimator.coef_, np.float64))[:, support]
    columns: dict[str, Any] = {"feature": [names[j] for j in support]}
    if members is not None:
        # A group is known by its first column: its label may be of any type.
        first = {int(j): names[columns[0]] for columns in members for j in columns}
        columns["group"] = [first[int(j)] for j in support]
    columns["must_keep"] = np.isin(support, question.kept_columns)
    if len(coefficients) > 1:
        several = getattr(estimator, "classes_", np.arange(len(coefficients)))
        columns = for_each_outcome(columns, several)
    columns["coefficient"] = coefficients.ravel()
    columns["per_standard_deviation"] = (coefficients * estimator._spreads).ravel()
    return frame(columns, kind)
