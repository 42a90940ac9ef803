"""What is asked of an estimate: an inference that attaches, a level, a joint test, a name."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

import pytest
from helpers import design_of, noise, spread, treated

import didkit as dk
from didkit import check, inference
from didkit.errors import EstimationError, InferenceError
from didkit.results import Estimate, asking

STARTS = spread(14, 4, 3)


def fitted(estimator=None) -> Estimate:
    y = noise(14, 6, 3) + 4 * treated((14, 6), STARTS)
    return (estimator or dk.DiD()).fit(design_of(y, STARTS), "m")


@dataclass(frozen=True)
class Mine:
    """An inference that returns what it is told to."""

    how: str

    def attach(self, estimate, *, level=0.95):
        sure = dk.ClusterRobust("CR2").attach(estimate, level=level).attached
        return {
            "unchanged": estimate,
            "bare": estimate.infer(None),
            "number": 3,
            "another's": estimate.with_uncertainty(sure),
            "no uncertainty": estimate.with_uncertainty("sure"),
            "right": estimate.with_uncertainty(replace(sure, inference=self, method="mine")),
            "a twin": estimate.with_uncertainty(replace(sure, inference=Mine(self.how))),
        }[self.how]


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ("unchanged", "without an uncertainty"),
        ("bare", "without an uncertainty"),
        ("number", "int: 3"),
        ("another's", "whose inference is ClusterRobust"),
        ("no uncertainty", "without an uncertainty"),
    ],
)
def test_an_inference_that_attaches_nothing_of_its_own_is_refused_by_name(how, found):
    with pytest.raises(InferenceError) as caught:
        fitted().infer(Mine(how))
    assert found in caught.value.found
    assert caught.value.where == "Mine.attach(estimate, level=)"


def test_the_uncertainty_of_before_is_not_taken_for_a_new_one():
    known = fitted().infer(dk.ClusterRobust("CR2"))
    with pytest.raises(InferenceError, match="as it was, with the uncertainty of ClusterRobust"):
        known.infer(Mine("unchanged"))
    # the same question again may give the same object
    assert known.infer(dk.ClusterRobust("CR2")).attached.method == known.attached.method


@pytest.mark.parametrize("how", ["right", "a twin"])
def test_an_inference_of_ones_own_is_shown_under_its_name(how):
    made = fitted().infer(Mine(how))
    assert made.attached.inference == Mine(how)
    assert "Mine(how=" in made.provenance["inference"]


def test_every_public_method_and_check_attaches_under_its_name():
    classes = {n: getattr(inference, n) for n in inference.__all__}
    methods = {n for n, one in classes.items() if hasattr(one, "attach")}
    assert set(asking.METHODS) == methods
    offered = {n for n in check.__all__ if hasattr(getattr(check, n), "run")}
    assert {n for n in offered if hasattr(dk, n)} == set(asking.CHECKS)
    assert all(hasattr(dk, name) for name in (*asking.METHODS, *asking.CHECKS))


@pytest.mark.parametrize(
    ("level", "todo"),
    [(95, "level=0.95"), (5, "level=0.95"), (10, "level=0.9"), (99, "level=0.99"),
     (50, "level=0.5"), (0, "level=0.95"), (-0.1, "level=0.95"), ("95", "level=0.95"),
     (float("nan"), "level=0.95"), (99.9, "level=0.999"), (2.5, "level=0.975")],
)  # fmt: skip
def test_a_level_in_percent_or_its_complement_is_told_as_a_level(level, todo):
    with pytest.raises(InferenceError) as caught:
        fitted().infer(dk.ClusterRobust("CR2"), level=level)
    assert caught.value.todo == f"write {todo}"
    assert caught.value.found == repr(level)


@pytest.mark.parametrize(
    ("given", "todo"),
    [
        ("wild_bootstrap", "did you mean didkit.WildBootstrap()?"),
        ("Wild Bootstrap", "did you mean didkit.WildBootstrap()?"),
        ("conley-taber", "did you mean didkit.ConleyTaber()?"),
        ("jacknife", "did you mean didkit.Jackknife()?"),
        ("permutations", "did you mean didkit.Permutation()?"),
        ("recomended", 'did you mean "recommended"?'),
        ("CR2", "write infer(ClusterRobust('CR2'))"),
        ("", "write infer(ClusterRobust('CR2'))"),
        (dk.WildBootstrap, "write infer(WildBootstrap())"),
        (Mine, "write infer(Mine(…))"),
        (dk.DiD, "write infer(ClusterRobust('CR2'))"),
        (3, "write infer(ClusterRobust('CR2'))"),
        (dk.LeaveOneOut(), "write infer(ClusterRobust('CR2'))"),
    ],
)
def test_a_name_or_a_class_is_told_what_to_write(given, todo):
    with pytest.raises(InferenceError) as caught:
        fitted().infer(given)
    assert caught.value.todo == todo


@pytest.mark.parametrize(
    ("given", "todo"),
    [
        (dk.Breakdown, "write check(Breakdown())"),
        ("placebo start", "did you mean didkit.PlaceboStart()?"),
        (dk.WildBootstrap(), "write check(LeaveOneOut())"),
    ],
)
def test_a_check_by_name_or_class_is_told_what_to_write(given, todo):
    with pytest.raises(InferenceError) as caught:
        fitted().check(given)
    assert caught.value.todo == todo


# -- several terms together ------------------------------------------------------------------------

JOINT = [
    dk.ClusterRobust("CR2"),
    dk.Permutation("t", draws=99),
    dk.WildBootstrap(draws=99),
]


@pytest.mark.parametrize("by", JOINT, ids=lambda one: type(one).__name__)
def test_the_joint_test_is_that_of_the_attached_inference(by):
    made = fitted(dk.EventStudy()).infer(by)
    names = list(made.terms["term"])
    some = made.joint(names[1:3])
    assert some == by.joint(made, tuple(names[1:3]))
    assert some.terms == tuple(names[1:3])
    assert made.joint(names[0]) == made.joint([names[0]])
    assert made.joint(names[:1]).terms == (names[0],)


def test_without_terms_all_are_tested_those_before_the_start_too():
    made = fitted(dk.EventStudy()).infer(dk.Permutation("t", draws=99))
    names = tuple(made.terms["term"])
    assert set(made.terms["phase"]) == {"before", "after"}
    assert made.joint().terms == names
    assert made.joint() == made.joint(names)


def test_by_default_the_joint_test_is_that_of_the_recommended_inference():
    made = fitted(dk.EventStudy())
    names = list(made.terms["term"])[:2]
    assert made.joint(names) == made.infer().joint(names)


def test_a_joint_wald_test_of_one_term_is_its_own_test():
    made = fitted(dk.EventStudy()).infer(dk.ClusterRobust("CR1", df="g-1"))
    for m, name in enumerate(made.terms["term"]):
        assert made.joint([name]).p_value == pytest.approx(made.attached.p_value[m], rel=1e-9)


def test_a_joint_test_that_there_is_not_is_refused():
    made = fitted(dk.EventStudy())
    name = str(made.terms["term"].iloc[0])
    with pytest.raises(InferenceError, match="tests several terms together") as caught:
        made.infer(dk.Jackknife()).joint()
    assert caught.value.found == repr(dk.Jackknife())
    with pytest.raises(InferenceError, match="one without: infer"):
        made.infer(None).joint()
    with pytest.raises(EstimationError, match="nobody"):
        made.infer(JOINT[0]).joint([name, "nobody"])
    with pytest.raises(InferenceError, match="found: twice: 1"):
        made.infer(JOINT[0]).joint([name, name])
    with pytest.raises(InferenceError, match="found: none"):
        made.infer(JOINT[0]).joint([])


def test_a_joint_test_holds_its_size():
    rejected = 0
    for seed in range(120):
        y = noise(14, 4, seed)
        made = dk.EventStudy().fit(design_of(y, STARTS_OF_FOUR), "m")
        rejected += made.infer(dk.ClusterRobust("CR2")).joint().p_value <= 0.05
    assert rejected <= 14  # binomial(120, .05): above 14 once in 1,000


STARTS_OF_FOUR = spread(14, 4, 2)


def test_every_attached_uncertainty_of_the_library_names_who_made_it():
    served = []
    for name in asking.METHODS:
        by = getattr(dk, name)()
        with contextlib.suppress(InferenceError):  # what it refuses, its own tests say
            assert fitted().infer(by).attached.inference == by
            served.append(name)
    assert len(served) >= 9
