"""Triple differences: a difference-in-differences less one that the programme should not move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from didkit.design import Design, Sample
from didkit.errors import EstimationError, first_few
from didkit.estimate.did import DiD
from didkit.estimate.published import Published
from didkit.estimate.wording import plural
from didkit.linear import Normal
from didkit.panel import Metric
from didkit.results import Draws, Estimate, Estimator, Labels, tables

__all__ = ["TripleDifference"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class TripleDifference:
    """A difference-in-differences, less the same one where the programme does nothing.

    Parameters
    ----------
    against_metric : str, optional
        A second metric of the same units that the programme should not move, on the same scale
        (kind, unit, per and timing): the estimate is of the metric less this one, cell by cell.
    affected : str, optional
        Column of ``panel.units`` that splits authorities, pilots and comparators alike, into those
        that the programme can reach and those that it cannot: the estimate is the effect in the
        first less the effect in the second. Give this or `against_metric`.
    value : str, number or bool, default True
        What an affected authority has in that column.
    estimator : Estimator, default ``DiD()``
        What is done in each part: `DiD`, `EventStudy`, or another that is linear in the outcome.

    Notes
    -----
    Whatever moves both parts alike cancels: pilots may trend away from comparators, if they do so
    by as much in the unaffected part (the bias of one is the bias of the other; that is weaker
    than parallel trends in each). It fails where the programme moves the unaffected part too (its
    effect is then subtracted), and where the parts differ in what moves them. The error of the
    second part comes on top: it is no more exact for being robust. The two parts are in
    ``glance()``.

    With `affected`, authorities are in one part only, and cross-products of both stand side by
    side. Permutation then needs draws that keep the number of pilots in each part: give the design
    the same column as ``strata``. Each part has to have pilots and comparators of its own.

    References
    ----------
    Olden & Møen (2022).

    Examples
    --------
    >>> import pandas as pd
    >>> from didkit.design import Design
    >>> frame = pd.DataFrame(
    ...     [
    ...         (u, t, first, n + 7 * (t == 2019) * (first > 0), n + 5 * (t == 2019) * (first > 0))
    ...         for u, first, n in (("a", 2019, 3.0), ("b", 0, 4.0), ("c", 0, 9.0))
    ...         for t in (2018, 2019)
    ...     ],
    ...     columns=["la", "year", "first", "under_5", "over_5"],
    ... )
    >>> design = Design.from_frame(
    ...     frame,
    ...     unit="la",
    ...     period="year",
    ...     start="first",
    ...     metrics=["under_5", "over_5"],
    ...     selection="unknown",
    ... )
    >>> round(TripleDifference("over_5").fit(design, "under_5").values.item(), 10)
    2.0
    """

    against_metric: str | None = None
    affected: str | None = field(default=None, kw_only=True)
    value: str | float | bool = field(default=True, kw_only=True)
    estimator: Estimator = field(default_factory=DiD, kw_only=True)

    def __post_init__(self) -> None:
        if (self.against_metric is None) == (self.affected is None):
            raise EstimationError(
                needed="a second metric, or a column that splits authorities: one of the two",
                found=f"against_metric={self.against_metric!r}, affected={self.affected!r}",
                where="TripleDifference",
                todo="write TripleDifference('other') or TripleDifference(affected='column')",
            )
        if not callable(getattr(self.estimator, "fit", None)) or isinstance(self.estimator, type):
            raise EstimationError(
                needed="an estimator, such as DiD() or EventStudy()",
                found=repr(self.estimator),
                where="TripleDifference(estimator=)",
                todo="give the object, with its brackets",
            )

    def fit(self, design: Design, metric: str | Metric) -> Estimate:
        """Estimate the difference of the two.

        Raises
        ------
        PanelError
            If a metric is unknown.
        DesignError, EstimationError
            Scales differ; an unknown column, or one that does not split; a part without pilots or
            comparators; whatever the estimator of the parts refuses.
        """
        kind = design.panel.metric(metric)
        if self.against_metric is not None:
            return self._of_metrics(design, kind, design.panel.metric(self.against_metric))
        return self._of_groups(design, kind)

    def _of_metrics(self, design: Design, kind: Metric, other: Metric) -> Estimate:
        """Estimate on the difference of two metrics."""
        scale = ("kind", "unit", "per", "timing")
        unlike = [
            f"{name} {getattr(kind, name)!r} and {getattr(other, name)!r}"
            for name in scale
            if getattr(kind, name) != getattr(other, name)
        ]
        if unlike or kind.name == other.name:
            raise EstimationError(
                needed="two metrics on one scale: the same kind, unit, per and timing",
                found="; ".join(unlike) or f"{kind.name!r} twice",
                where=f"TripleDifference of {kind.name!r} and {other.name!r}",
                todo="make both rates per as many, or choose another metric",
            )
        first, second = design.panel.cells(kind).value, design.panel.cells(other).value
        lost = int((np.isfinite(first) & ~np.isfinite(second)).sum())
        both = replace(kind, label=f"{kind.label} less {tables.inside(other.label)}")
        made = self._refitted(design, both, first - second)
        parts = [
            self._refitted(design, kind, np.where(np.isfinite(first - second), one, np.nan))
            for one in (first, second)
        ]
        return replace(
            made,
            estimator=self,
            design=design,
            estimand=made.estimand,
            facts={**made.facts, **_of_parts(parts)},
            notes=(
                *made.notes,
                f"what moves {tables.inside(kind.label)} and {tables.inside(other.label)} alike "
                "cancels; an effect on the second is subtracted",
                *([f"{lost} cells have no value of {other.name!r} to subtract"] if lost else []),
            ),
        )

    def _refitted(self, design: Design, kind: Metric, values: Floats) -> Estimate:
        """Fit the parts' estimator on other values of the metric."""
        plain = replace(kind, kind="value", decimals=None)  # a difference may be below zero
        panel = design.panel.refilled(plain, values)
        return self.estimator.fit(design.on_panel(panel), kind.name)

    def _of_groups(self, design: Design, kind: Metric) -> Estimate:
        """Estimate in the affected and in the unaffected authorities, and subtract."""
        inside = self._inside(design)
        values = design.panel.cells(kind).value
        made = [
            self._refitted(design, kind, np.where(part[:, None], values, np.nan))
            for part in (inside, ~inside)
        ]
        names = [list(one.terms["term"]) for one in made]
        shared = [name for name in names[0] if name in names[1]]
        if not shared:
            raise EstimationError(
                needed="a term that both parts have",
                found=f"{first_few(names[0])} in the affected, {first_few(names[1])} in the others",
                where=f"TripleDifference(affected={self.affected!r})",
                todo="choose a window or an estimator with the same terms in both",
            )
        pairs = [[one.index(name) for name in shared] for one in names]
        full = design.sample(kind)
        used = set(made[0].sample.units) | set(made[1].sample.units)
        sample = full.keep(
            np.array([unit in used for unit in full.units]), "carries no change in its part"
        )
        return self._published(made, pairs, sample).to_estimate(
            self,
            design,
            sample,
            estimand=f"{made[0].estimand}; affected less unaffected authorities",
            terms=made[0]
            .terms.iloc[pairs[0]]
            .drop(columns=["n_pilots", "n_comparators"])
            .reset_index(drop=True),
            reference=made[0].reference,
            facts=_of_parts(made),
            notes=(
                *dict.fromkeys(note for one in made for note in one.notes),
                f"affected ({self.affected} = {self.value}): "
                f"{plural(made[0].sample.n_pilots, 'pilot')} and {made[0].sample.n_comparators} "
                "comparators; unaffected: "
                f"{made[1].sample.n_pilots} and {made[1].sample.n_comparators}; what moves pilots "
                "alike in both cancels",
            ),
        )

    def _inside(self, design: Design) -> Bools:
        """Who is affected, of the panel's units."""
        units = design.panel.units
        where = "TripleDifference(affected=)"
        if self.affected not in units.columns:
            raise EstimationError(
                needed="a column of panel.units",
                found=f"{self.affected!r}; there are {first_few(units.columns)}",
                where=where,
                todo="give it to the panel as an attribute",
            )
        column = units[self.affected].astype(object)  # held as text, or missing
        concerned = column.reindex([*design.pilots, *design.comparators])
        inside = np.array([str(one) == str(self.value) for one in column])
        among = np.array([str(one) == str(self.value) for one in concerned])
        if concerned.isna().any() or among.all() or not among.any():
            raise EstimationError(
                needed=f"a value for each authority, {self.value!r} for some and not for others",
                found=f"missing for {first_few(concerned.index[concerned.isna()])}"
                if concerned.isna().any()
                else f"values {first_few(sorted(map(str, concerned.unique())))}",
                where=f"{where}, column {self.affected!r}",
                todo="say with value= which value means affected; drop authorities without one",
            )
        return inside

    def _published(self, made: list[Estimate], pairs: list[list[int]], sample: Sample) -> Published:
        """Put what both publish side by side; the second with a minus."""
        k, place = len(pairs[0]), {unit: i for i, unit in enumerate(sample.units)}
        rows = [np.array([place[u] for u in one.sample.units], dtype=np.intp) for one in made]
        values = made[0].values[pairs[0]] - made[1].values[pairs[1]]
        weights: Floats | None = np.zeros((k, *sample.y.shape))
        influence: Floats | None = np.zeros((len(sample.units), k))
        for one, at, row, sign in zip(made, pairs, rows, (1, -1), strict=True):
            if weights is not None and one.weights is not None:
                weights[:, row] = sign * one.weights[at]
            else:
                weights = None
            if influence is not None and one.influence is not None:
                influence[row] = sign * one.influence[:, at]
            else:
                influence = None
        normal, contrast = _both(made, pairs, sample)
        assignable = np.zeros(len(sample.units), dtype=bool)
        for one, row in zip(made, rows, strict=True):
            assignable[row] = True if one.assignable is None else one.assignable
        counts = [
            np.minimum(
                *(
                    one.terms[name].to_numpy(dtype=np.int64)[at]
                    for one, at in zip(made, pairs, strict=True)
                )
            )
            for name in ("n_pilots", "n_comparators")
        ]
        return Published(
            values=values,
            weights=weights,
            influence=influence,
            normal=normal,
            contrast=contrast,
            reassigned=_reassigned(made, pairs, rows, sample),
            n_pilots=counts[0],
            n_comparators=counts[1],
            assignable=assignable,
        )


def _of_parts(made: list[Estimate]) -> dict[str, float]:
    """Return the main term of each part."""
    names = ("first_difference", "second_difference")
    return {
        name: float(one.values[one.place_of(None, where="TripleDifference")])
        for name, one in zip(names, made, strict=True)
    }


def _both(
    made: list[Estimate], pairs: list[list[int]], sample: Sample
) -> tuple[Normal | None, Floats | None]:
    """Set the normal equations of two parts side by side, by cluster of the whole."""
    parts = [(o.normal, o.contrast) for o in made if o.normal is not None]
    normals = [normal for normal, _ in parts]
    contrasts = [contrast for _, contrast in parts if contrast is not None]
    if len(contrasts) < len(made):
        return None, None
    sizes = [normal.n_params for normal in normals]
    labels = sample.cluster_labels
    code = {label: i for i, label in enumerate(labels)}
    g, p = len(labels), sum(sizes)
    A, b, yy = np.zeros((g, p, p)), np.zeros((g, p)), np.zeros(g)
    contrast = np.zeros((len(pairs[0]), p))
    for i, (own, normal) in enumerate(zip(contrasts, normals, strict=True)):
        at = slice(sum(sizes[:i]), sum(sizes[: i + 1]))
        row = [code[label] for label in normal.labels]
        A[row, at, at] = normal.A
        b[row, at] = normal.b
        yy[row] += normal.yy
        contrast[:, at] = (1, -1)[i] * own[pairs[i]]
    names = tuple(
        f"{part}: {name}"
        for part, normal in zip(("affected", "unaffected"), normals, strict=True)
        for name in normal.names
    )
    both = Normal(
        A=A,
        b=b,
        yy=yy,
        n_obs=sum(normal.n_obs for normal in normals),
        n_absorbed=sum(normal.n_absorbed for normal in normals),
        nested=all(normal.nested for normal in normals),
        labels=labels,
        names=names if len(names) == p else (),
    )
    return both, contrast


def _reassigned(
    made: list[Estimate], pairs: list[list[int]], rows: list[NDArray[np.intp]], sample: Sample
) -> Callable[[Labels], Draws] | None:
    """Refit both parts for many assignments, where strata keep each part's number of pilots."""
    first, second = made[0].reassigned, made[1].reassigned
    apart = not set(sample.strata[rows[0]].tolist()) & set(sample.strata[rows[1]].tolist())
    starts = {one.sample.starts for one in made} | {sample.starts}
    if first is None or second is None or not apart or len(starts) != 1:
        return None

    def reassigned(labels: Labels) -> Draws:
        mine, other = first(labels[:, rows[0]]), second(labels[:, rows[1]])
        at, to = pairs
        # the hypothesised effect is in the affected part alone
        return Draws(
            b=mine.b[:, at] - other.b[:, to],
            a=mine.a[:, at],
            v0=mine.v0[:, at] + other.v0[:, to],
            v1=mine.v1[:, at],
            v2=mine.v2[:, at],
        )

    return reassigned
