"""What is asked of an estimate, and how it is refused: an inference, a level, a joint test."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from didkit.errors import EstimationError, InferenceError, first_few, is_number
from didkit.results import hooks
from didkit.results.uncertainty import JointTest, Uncertainty

if TYPE_CHECKING:
    from didkit.results.estimate import Estimate
    from didkit.results.finding import Finding
    from didkit.results.protocols import Inference

__all__ = [
    "CHECKS",
    "METHODS",
    "all_checks",
    "check_attached",
    "check_level",
    "joint_test",
    "level_meant",
    "no_such_term",
    "not_an_object",
]

METHODS = (
    "Bootstrap",
    "ClusterRobust",
    "Conformal",
    "ConleyTaber",
    "Conventional",
    "DonaldLang",
    "FermanPinto",
    "Hagemann",
    "IbragimovMuller",
    "Jackknife",
    "LauLi",
    "Permutation",
    "PlaceboVariance",
    "SignFlips",
    "WildBootstrap",
    "WildRandomisation",
)
"""Public names of the methods, for whoever writes one as text; this room cannot import them."""

CHECKS = (
    "Bounds",
    "Breakdown",
    "Checks",
    "Contamination",
    "ContrastStudy",
    "DetectableEffect",
    "DrivingCells",
    "FunctionalForm",
    "GoodmanBacon",
    "LeaveOneOut",
    "LeaveTwoOut",
    "OtherComparators",
    "OtherDenominator",
    "PlaceboPilots",
    "PlaceboStart",
    "PreTrendEquivalence",
    "PreTrendPower",
    "PreTrends",
    "RateSplit",
    "RegressionToTheMean",
    "Sensitivity",
    "SmallestRemoval",
    "SpecificationCurve",
    "TrendAdjusted",
    "TwoWayWeights",
    "UnaffectedOutcomes",
    "WithoutBreaks",
)
"""Public names of the checks."""

_OFFERS = {
    "infer": ("attach", METHODS, "ClusterRobust('CR2')"),
    "check": ("run", CHECKS, "LeaveOneOut()"),
}
_USUAL = 0.95
_HALF = 50  #: a whole number above it is a level in percent, below it its complement


def level_meant(level: float) -> float:
    """Say which level somebody meant who wrote 95 or 5.

    Examples
    --------
    >>> level_meant(95), level_meant(5), level_meant(-1)
    (0.95, 0.95, 0.95)
    """
    if 1 < level < 100:
        return round(level / 100 if level >= _HALF else 1 - level / 100, 12)
    return _USUAL


def check_level(level: object) -> None:
    """Refuse a level that is none.

    Raises
    ------
    InferenceError
        If it is not a number inside (0, 1).
    """
    if not is_number(level) or not 0 < level < 1:  # type: ignore[operator]
        meant = level_meant(level) if is_number(level) else _USUAL  # type: ignore[arg-type]
        raise InferenceError(
            needed="a level between 0 and 1, such as 0.95",
            found=repr(level),
            where="infer(level=)",
            todo=f"write level={meant:g}",
        )


def check_attached(inference: Inference, before: Estimate, after: object) -> Estimate:
    """Return what an inference attached, where it attached something of its own.

    Parameters
    ----------
    inference : Inference
        That was asked.
    before : Estimate
        That it was asked about.
    after : object
        What its ``attach`` returned.

    Raises
    ------
    InferenceError
        If that is no estimate with an uncertainty made by this inference: it would be shown, and
        counted in a study, under another's name.
    """
    name = type(inference).__name__
    sure = getattr(after, "_attached", None) if isinstance(after, type(before)) else None
    if isinstance(sure, Uncertainty) and (
        sure.inference is inference or sure.inference == inference
    ):
        return after  # type: ignore[return-value]
    if not isinstance(after, type(before)):
        found = f"{type(after).__name__}: {after!r}"[:80]
    elif not isinstance(sure, Uncertainty):
        found = "an estimate without an uncertainty"
    elif sure is before._attached:
        found = f"the estimate as it was, with the uncertainty of {sure.inference!r}"[:120]
    else:
        found = f"an uncertainty whose inference is {sure.inference!r}"[:120]
    raise InferenceError(
        needed="an estimate with an uncertainty made by the inference that was asked",
        found=found,
        where=f"{name}.attach(estimate, level=)",
        todo="return estimate.with_uncertainty(Uncertainty(self, method, level, …))",
    )


def joint_test(self: Estimate, terms: Sequence[str] | str | None = None) -> JointTest:
    """Test that several terms are zero together, by the inference that the estimate has.

    Parameters
    ----------
    terms : sequence of str, optional
        Names of terms; by default all, those before the start too. For those before the start
        alone, see the check `PreTrends`.

    Returns
    -------
    JointTest
        ``terms, statistic, p_value, method``. `ClusterRobust`: Hotelling's T² (Pustejovsky & Tipton
        2018), or as its `joint` says; `Permutation`, `SignFlips` and `WildBootstrap`: the rank of a
        quadratic form among the same draws.

    Raises
    ------
    EstimationError
        If there is no such term.
    InferenceError
        If the inference has no joint test (the others), cannot serve these terms together (one
        pilot carries a term, more terms than the clusters bear), or there is none: ``infer(None)``.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> events = dk.EventStudy().fit(design, "cpp").infer(dk.Permutation(draws=199))
    >>> found = events.joint(["event time -3", "event time -2"])
    >>> found.method, 0 < found.p_value <= 1
    ('joint permutation of 2 terms', True)
    """
    by: Any = self.attached.inference
    names = [str(name) for name in self.terms["term"]]
    wanted = names if terms is None else [terms] if isinstance(terms, str) else list(terms)
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise no_such_term(unknown[0], names, "joint(terms=)")
    if not wanted or len(set(wanted)) < len(wanted):
        twice = [name for name in dict.fromkeys(wanted) if wanted.count(name) > 1]
        raise InferenceError(
            needed="one term or more, each once",
            found=f"twice: {first_few(twice)}" if twice else "none",
            where="joint(terms=)",
            todo="leave terms out for all, or choose from: " + ", ".join(names),
        )
    if not hasattr(by, "joint"):
        raise InferenceError(
            needed="an inference that tests several terms together: ClusterRobust, Permutation, "
            "SignFlips or WildBootstrap",
            found=repr(by),
            where="joint",
            todo="for example estimate.infer(Permutation('t')).joint()",
        )
    made: JointTest = by.joint(self, tuple(wanted))
    return made


def all_checks(self: Estimate, **options: Any) -> Finding:
    """Run the checks that suit this design, and lay what they found in one table.

    Parameters
    ----------
    options
        Of `didkit.Checks`: see there; any other is refused.

    Returns
    -------
    Finding
        One row a check: what was asked, what was found, in what unit, and what it cannot show; a
        check that this estimate does not bear is listed with the reason. ``found.plot()`` draws
        all of them, and ``found.parts["LeaveOneOut"]`` is one check's own finding.

    Examples
    --------
    >>> import didkit as dk
    >>> panel, design = dk.datasets.load_evaluation()
    >>> did = dk.DiD().fit(design, "cpp").infer(dk.ClusterRobust("CR2"))
    >>> found = did.checks(only=["LeaveOneOut", "PlaceboStart"])
    >>> found.table["check"].tolist()
    ['LeaveOneOut', 'PlaceboStart']
    """
    made: Finding = hooks.check_all(self, **options)
    return made


def no_such_term(term: object, names: Sequence[str], where: str) -> EstimationError:
    """Say that a term does not exist, and which do."""
    return EstimationError(
        needed="a term of this estimate",
        found=repr(term),
        where=where,
        todo="choose one of: " + ", ".join(names),
    )


def not_an_object(given: object, where: str) -> InferenceError:
    """Say that a class or a name stands where an object is needed, and what to write.

    Parameters
    ----------
    given : object
        What stood there.
    where : {"infer", "check"}
        Where.
    """
    does, known, example = _OFFERS[where]
    found = f"the class {given.__name__}" if isinstance(given, type) else repr(given)[:80]
    todo = f"write {where}({example})"
    if isinstance(given, type) and hasattr(given, does):
        todo = f"write {where}({given.__name__}({_arguments(given)}))"
    elif isinstance(given, str):
        plain = {_plain(name): name for name in known}
        if where == "infer":
            plain["recommended"] = '"recommended"'
        near = difflib.get_close_matches(_plain(given), plain, n=1)
        if near:
            meant = plain[near[0]]
            todo = "did you mean " + (f"didkit.{meant}()?" if meant in known else f"{meant}?")
    return InferenceError(
        needed=f"an object such as {example}", found=found, where=where, todo=todo
    )


def _plain(name: str) -> str:
    """Spell a name without case, spaces and dashes."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _arguments(kind: type) -> str:
    """Say that a class needs arguments, where it does."""
    missing = dataclasses.MISSING
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    bare = all(one.default is not missing or one.default_factory is not missing for one in fields)
    return "" if bare else "…"
