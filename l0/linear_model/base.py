"""What the estimators share: their arguments, and the attributes of a fit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from l0.common.errors import InputError
from l0.common.validation import flag, not_negative, whole_number
from l0.data.tables import Kind
from l0.linear_model.choice import Choice, LossOf, Question, choose
from l0.linear_model.held_out import held_out
from l0.linear_model.kinds import check_columns
from l0.linear_model.limits import Limits
from l0.linear_model.path_plot import draw_path
from l0.linear_model.rows import ACCEPTED, Rows, checked_weights
from l0.linear_model.summary import summary_of
from l0.linear_model.units import checked_size, group_members, kept_units, largest_size

#: The criterion that chooses the number of columns by default.
DEFAULT_CRITERION = "gicc"
NO_LIMITS = Limits()


class SparseLinearModel(BaseEstimator):  # type: ignore[misc]
    """A linear model that chooses its columns. Subclasses state the loss."""

    def __init__(
        self,
        n_features: int | None = None,
        *,
        criterion: str | None = None,
        cv: Any = None,
        one_standard_error: bool = False,
        max_features: int | None = None,
        l2: float | None = None,
        fit_intercept: bool = True,
        groups: ArrayLike | Mapping[Any, Any] | None = None,
        must_keep: Iterable[Any] | None = None,
    ) -> None:
        self.n_features = n_features
        self.criterion = criterion
        self.cv = cv
        self.one_standard_error = one_standard_error
        self.max_features = max_features
        self.l2: Any = l2
        self.fit_intercept = fit_intercept
        self.groups = groups
        self.must_keep = must_keep

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def plot_path(self, path: Any = None) -> Any:
        """Draw the coefficients and the criterion against the number of columns.

        Parameters
        ----------
        path : str or path, optional
            The file to write; its suffix names the format.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        check_is_fitted(self)
        return draw_path(self, path)

    def summary(self, kind: Kind | None = None) -> Any:
        """Return a row for each chosen column; for each outcome or class where there are several.

        Parameters
        ----------
        kind : {"pandas", "polars", "pyarrow"}, optional
            By default pandas, or pyarrow where pandas is not installed.

        Returns
        -------
        pandas.DataFrame, polars.DataFrame or pyarrow.Table
            The columns `feature` (a name, or a position where `X` has no names), `group` (with
            `groups`: the first column of the group), `must_keep`, `outcome` (the position of an
            outcome, or the label of a class; only where there are several), `coefficient`, and
            `per_standard_deviation`: the coefficient times the standard deviation of the column
            (without an intercept, the root of its mean square), by which columns on different
            scales are compared.
        """
        check_is_fitted(self)
        return summary_of(self, kind)

    def _read(self, x: Any) -> Any:
        """Return the rows to predict as numbers, after the checks that `fit` makes of its `X`."""
        check_columns(x)
        return validate_data(self, x, reset=False, **ACCEPTED)

    def _rows(self, x: Any, y: NDArray[Any], sample_weight: ArrayLike | None) -> Rows:
        """Join the rows and their checked weights."""
        weights = checked_weights(sample_weight, x)
        if not 2 <= weights.sum() < np.inf:
            raise InputError(
                f"`sample_weight` has the sum {weights.sum():.3g}, but a weight counts rows (2 "
                "is two rows); scale the weights so that they sum to the number of rows"
            )
        return Rows(x, y, weights)

    @abstractmethod
    def _asked(
        self, x: Any, y: Any, sample_weight: ArrayLike | None = None
    ) -> tuple[Rows, Question]:
        """Check what `fit` is passed, and return the rows and what is asked of them."""

    def _choose(self, rows: Rows, question: Question, groups: ArrayLike | None) -> Choice:
        """Choose columns, and set the attributes that no loss changes."""
        splits = None
        if self.cv is not None:
            splits = held_out(
                self.cv, rows, question, hasattr(self, "classes_"), self.one_standard_error, groups
            )
        elif groups is not None:
            raise InputError(
                "`groups` of `fit` are groups of rows for a splitter, but `cv` is None; pass `cv`, "
                "or groups of columns to the estimator itself"
            )
        choice = choose(rows.counting(), question, splits, stacklevel=4)
        found = sorted(choice.models)
        models = [choice.models[size] for size in found]
        chosen = choice.models[choice.size]
        self.support_, self.n_features_selected_ = chosen.columns, len(chosen.columns)
        self.path_ = [model.columns for model in models]
        self.criterion_path_ = np.array([choice.costs[size] for size in found])
        for name in ("fold_losses_path_", "optimality_gap_"):
            self.__dict__.pop(name, None)  # of an earlier fit
        if splits is not None:
            self.fold_losses_path_ = np.array(
                [splits.losses[size - splits.smallest] for size in found]
            )
        self.swap_gap_, self.l2_ = choice.gap, choice.l2
        # For the functions about a choice: arguments may change after the fit.
        self._fitted_question, self._fingerprint = question, choice.fingerprint
        self._spreads = choice.standardised.scale[chosen.columns]
        if choice.optimality_gap is not None:
            self.optimality_gap_ = choice.optimality_gap
        self.coefs_path_ = np.array([model.coefficients for model in models])
        self.intercepts_path_ = np.array([model.intercept for model in models])
        self._sizes, self._size = found, choice.size
        return choice

    def _question(
        self,
        rows: Rows,
        loss_of: LossOf,
        l2: float | None,
        limits: Limits = NO_LIMITS,
        certify: float | None = None,
    ) -> Question:
        """Check the arguments that say which columns, and how many."""
        centre = flag(self.fit_intercept, "fit_intercept")
        # Not `in` and not `count`: the splits of `cv` may be an array.
        ways = (self.n_features, self.criterion, self.cv)
        if sum(each is not None for each in ways) > 1:
            raise InputError(
                "`n_features`, `criterion` and `cv` all choose the number of columns; pass one"
            )
        if self.n_features is not None and self.max_features is not None:
            raise InputError(
                "`max_features` limits the sizes to try, but `n_features` fixes the size; pass one"
            )
        if flag(self.one_standard_error, "one_standard_error") and self.cv is None:
            raise InputError("`one_standard_error` is a rule for held-out errors; pass `cv` too")
        if l2 is not None:
            not_negative(l2, "l2")
        p = rows.x.shape[1]
        names = getattr(self, "feature_names_in_", None)
        members = group_members(self.groups, p, names)
        kept = kept_units(self.must_keep, names, p, members)
        n_units, n_kept = p if members is None else len(members), len(kept)
        criterion = DEFAULT_CRITERION if self.criterion is None else self.criterion
        if self.n_features is not None:
            sizes = [checked_size(self.n_features, n_units, n_kept, "n_features")]
        else:
            largest = largest_size(float(rows.weights.sum()), n_units, n_kept)
            if self.max_features is not None:
                largest = checked_size(self.max_features, n_units, n_kept, "max_features")
            sizes = list(range(n_kept, largest + 1))
        return Question(
            loss_of,
            sizes,
            members,
            kept,
            criterion=None if self.n_features is not None else criterion,
            patient=all(each is None for each in (self.n_features, self.cv, self.max_features)),
            centre=centre,
            l2=l2,
            bounds=limits.bounds(names, p),
            exclusive=limits.exclusive(names, p, members, kept),
            certify=certify,
        )

    def _place(self, n_features: Any) -> int:
        """Return the place of a size in the path."""
        check_is_fitted(self)
        size = whole_number(n_features, "n_features", 0)
        if size not in self._sizes:
            raise InputError(
                f"`n_features` is {size:,}, but the path has the sizes {self._sizes[0]:,} to "
                f"{self._sizes[-1]:,}; fit with `n_features={size}` or a larger `max_features`"
            )
        return self._sizes.index(size)
