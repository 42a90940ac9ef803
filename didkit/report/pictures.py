"""The pictures of a report: asked for through the hook that the front door fills."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from didkit.check.suited import LABELS
from didkit.errors import DidkitError
from didkit.progress import steps
from didkit.report.numerals import plural, signed
from didkit.report.readouts import numbers
from didkit.results import hooks
from didkit.results.asking import CHECKS

if TYPE_CHECKING:
    from didkit.design import Design
    from didkit.report.evaluation import Evaluation, MetricResult

__all__ = ["KINDS", "Album", "Picture", "draw_pictures", "kind_name"]

IN_OTHERS = ("PreTrends", "PlaceboStart", "PlaceboPilots", "Contamination", "DetectableEffect")
"""Checks that every evaluation makes and whose numbers stand in words and in other pictures."""


def _kind(check: str) -> str:
    """Name the picture of a check, for files and anchors.

    Examples
    --------
    >>> _kind("LeaveOneOut of comparators"), _kind("Sensitivity, smoothness")
    ('leave_one_out_of_comparators', 'sensitivity_smoothness')
    """
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", check)
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")


_DPI, _COLOURS = 130, 64
_NAMED = (*IN_OTHERS, "LeaveOneOut", "RegressionToTheMean")
_ALIKE = 1e-9  # two estimates on the same cells
KINDS = {
    "overview": "All measures on one scale",
    "gap": "The gap before and after",
    "trends": "Trends",
    "events": "Event study",
    "long_differences": "One number an authority",
    "leave_one_out": "Leaving one out",
    "regression_to_the_mean": "What the choice of pilots would show by itself",
    **{_kind(name): label for name, label in LABELS.items() if name not in _NAMED},
    "forest": "Other ways to say how sure",
    "permutation": "The statistic among its draws",
    "leverage": "Who carries the answer",
    "missing": "Cells without a value",
    "rollout": "Who started when",
    "love": "How alike they were before the start",
    "neighbour_graph": "Who stands beside whom",
    "reuse": "How often each comparator serves",
}


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture.

    Parameters
    ----------
    metric : str
        What it is about; empty for a picture of the whole evaluation.
    kind : str
        Which picture: a key of ``KINDS``.
    title : str
        What is seen, with numbers.
    alt : str
        The title, and the numbers behind it.
    png : bytes
        The picture; the same bytes for the same evaluation.
    data : DataFrame
        The frame behind it.
    width : float
        Of the picture in points, so that a page can keep its letters readable.
    only_words : bool
        Whether the title says all there is: nothing is missing, or all serve alike.
    note : str
        What must be read with it; empty for most.
    """

    metric: str
    kind: str
    title: str
    alt: str
    png: bytes
    data: pd.DataFrame
    width: float
    only_words: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        """Stem of a file name: metric and kind, or the kind alone."""
        return f"{self.metric}_{self.kind}" if self.metric else self.kind

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as the file says."""
        return int.from_bytes(self.png[16:20], "big"), int.from_bytes(self.png[20:24], "big")


@dataclass(frozen=True, eq=False)
class Album:
    """The pictures that could be drawn, and why others could not.

    Parameters
    ----------
    pictures : tuple of Picture
        In the order of the report.
    refused : mapping of (metric, kind) to str
        The reasons of those that are missing.
    """

    pictures: tuple[Picture, ...]
    refused: Mapping[tuple[str, str], str]

    def of(self, metric: str, *kinds: str) -> tuple[Picture, ...]:
        """Return the pictures of one metric ("" for the whole), of these kinds or of all."""
        return tuple(
            picture
            for picture in self.pictures
            if picture.metric == metric and (not kinds or picture.kind in kinds)
        )


def kind_name(kind: str) -> str:
    """Name a picture for readers.

    Examples
    --------
    >>> kind_name("leave_two_out"), kind_name("my_own")
    ('Leaving two out', 'My own')
    """
    return KINDS.get(kind, kind.replace("_", " ").capitalize())


def _has_own(name: str) -> bool:
    """Whether the finding of that name is drawn for itself."""
    return name not in IN_OTHERS and re.split(r"\W", name, maxsplit=1)[0] in CHECKS


def draw_pictures(evaluation: Evaluation) -> Album:
    """Draw the overview, the pictures of every metric, and who is compared with whom."""
    made: list[Picture] = []
    refused: dict[tuple[str, str], str] = {}

    def draw(metric: str, kind: str, maker: Callable[[], Any], note: str = "") -> None:
        try:
            made.append(_picture(metric, kind, maker(), note))
        except DidkitError as error:
            refused[(metric, kind)] = f"needed {error.needed}; found {error.found}"

    draw("", "overview", evaluation.plot)
    for name, result in steps(evaluation.results.items(), "drawing pictures"):
        for kind, maker in _makers(result).items():
            draw(name, kind, maker, _note(result) if kind == "long_differences" else "")
        draw(name, "missing", _of_design(evaluation, "missing", metric=name))
    for kind, maker in _whole(evaluation).items():
        draw("", kind, maker)
    return Album(tuple(made), refused)


def _makers(result: MetricResult) -> dict[str, Callable[[], Any]]:
    """Return how each picture of one metric is drawn; what was never made is not asked for."""
    did, complete = result.did, result.did_complete
    compared = did if complete is None else complete
    makers: dict[str, Callable[[], Any]] = {
        "gap": result.gap.plot,
        "trends": did.plot,
    }
    if result.events is not None:
        makers["events"] = result.events.plot
    makers["long_differences"] = lambda: compared.plot(kind="long_differences")
    drawn = {_kind(name): found for name, found in result.findings.items() if _has_own(name)}
    for kind in KINDS:  # in the order of the report
        if kind in drawn:
            makers[kind] = drawn.pop(kind).plot
    makers |= {kind: found.plot for kind, found in drawn.items()}
    makers["forest"] = lambda: hooks.draw(did, kind="forest", table=result.methods)
    sure = did.uncertainty
    if sure is not None and sure.null is not None:
        makers["permutation"] = lambda: did.plot(kind="permutation")
    makers["leverage"] = lambda: did.plot(kind="leverage")
    return makers


def _whole(evaluation: Evaluation) -> dict[str, Callable[[], Any]]:
    """Return how the pictures of the design are drawn; what would be empty is not asked for."""
    design = evaluation.design
    makers: dict[str, Callable[[], Any]] = {}
    if _has_calendar(design):
        makers["rollout"] = _of_design(evaluation, "rollout")
    makers["love"] = lambda: hooks.draw(design.balance(list(evaluation.metrics)))
    if design.sets is not None or getattr(design.against, "neighbours", None) is not None:
        makers["neighbour_graph"] = _of_design(evaluation, "neighbour_graph")
    makers["reuse"] = _of_design(evaluation, "reuse")
    return makers


def _has_calendar(design: Design) -> bool:
    """Whether there is more to see than one start for all."""
    rollout = design.rollout
    return bool(
        len(set(design.starts.values())) > 1
        or rollout.stops
        or rollout.contaminated
        or rollout.dose
        or rollout.first_exposed
    )


def _of_design(evaluation: Evaluation, kind: str, **options: str) -> Callable[[], Any]:
    return lambda: hooks.draw(evaluation.design, kind=kind, **options)


def _png(axes: Any) -> bytes:
    """Save a picture with a palette: a third of the size, and no difference to the eye."""
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    axes.figure.savefig(full, format="png", dpi=_DPI, metadata={"Software": None})
    with Image.open(full) as image:
        few = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
        few.save(small, format="png", optimize=True)
    return small.getvalue()


def _note(result: MetricResult) -> str:
    """Say whose long differences are drawn where they are not those of the change."""
    other = result.did_complete
    if other is None or abs(float(other.values[0]) - float(result.did.values[0])) < _ALIKE:
        return ""
    row = other.tidy().iloc[0]
    return (
        f"Only the {plural(int(row['n_pilots']), 'pilot')} and "
        f"{plural(int(row['n_comparators']), 'comparator')} observed in every period; the change "
        "on every cell with a value is "
        f"{signed(float(result.did.values[0]))}."
    )


def _picture(metric: str, kind: str, axes: Any, note: str) -> Picture:
    title = " ".join(axes.get_title(loc="left").split())
    data: pd.DataFrame = axes.data
    said = numbers(kind, data)
    return Picture(
        metric=metric,
        kind=kind,
        title=title,
        alt=" ".join(filter(None, [f"{title}.", said, note])),
        png=_png(axes),
        data=data,
        width=72 * float(axes.figure.get_size_inches()[0]),
        only_words=not axes.has_data() or (kind == "missing" and _nothing_missing(data)),
        note=note,
    )


def _nothing_missing(data: pd.DataFrame) -> bool:
    return bool((data["status"] == "observed").all())
