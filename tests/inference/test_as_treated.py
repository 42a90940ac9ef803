"""As treated: pilots that left have short windows, which units in their place do not have."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import FIRST, codes, noise, panel_of

from didkit.check import PlaceboPilots
from didkit.design import Against, Design, MatchedSets, Pool, Rollout
from didkit.errors import InferenceError
from didkit.estimate import DiD, EventStudy, Gap
from didkit.inference import Permutation, recommend

N, N1, T, START, STOP = 50, 8, 10, 5, 6
IDS = codes(N)


def design(
    seed: int = 1,
    *,
    n1: int = N1,
    left: tuple[int, ...] = tuple(range(N1)),
    against: Against | None = None,
    treatment: str = "as_treated",
    **options,
) -> Design:
    """The first rows start in the sixth year; those that `left` did so a year later."""
    said = Rollout(
        dict.fromkeys(IDS[:n1], FIRST + START),
        stops={IDS[j]: FIRST + STOP for j in left if j < n1},
    )
    return Design(
        panel_of(noise(N, T, seed)),
        said,
        against=against or Pool(),
        selection="random",
        treatment=treatment,
        **options,
    )


REFUSED = [
    lambda made: made.infer(Permutation("beta", draws=99)),
    lambda made: made.check(PlaceboPilots(draws=99)),
]


@pytest.mark.parametrize("ask", REFUSED, ids=["beta", "placebo pilots"])
@pytest.mark.parametrize("left", [(0,), tuple(range(N1))])
def test_what_does_not_copy_short_windows_is_refused_by_name(ask, left):
    with pytest.raises(InferenceError) as error:
        ask(DiD().fit(design(left=left), "m"))
    assert IDS[0] in error.value.found
    assert "Permutation('t')" in error.value.todo
    assert "design.with_treatment('intention_to_treat')" in error.value.todo


@pytest.mark.parametrize("ask", REFUSED, ids=["beta", "placebo pilots"])
@pytest.mark.parametrize(
    ("changed", "estimator"),
    [
        ({"treatment": "intention_to_treat"}, DiD()),
        ({"left": ()}, DiD()),
        ({"periods": (FIRST, FIRST + STOP - 1)}, DiD()),
        ({"left": (0, 1)}, DiD("complete")),  # who left is not in the sample
    ],
)
def test_where_no_cell_is_set_aside_there_is_nothing_to_refuse(ask, changed, estimator):
    made = ask(estimator.fit(design(**changed), "m"))
    assert not any("from their stop on" in note for note in getattr(made, "all_notes", ()))


def test_t_is_given_with_a_note():
    sure = DiD().fit(design(), "m").infer(Permutation(draws=99)).attached
    assert 0 < sure.p_value[0] <= 1
    assert any(note.startswith("8 pilots have no cells from their stop on") for note in sure.notes)


def test_a_term_without_t_has_no_rank():
    """One pilot stays: the later terms are its alone."""
    made = EventStudy().fit(design(left=tuple(range(1, N1))), "m").infer(Permutation(draws=99))
    late = made.terms["position"].to_numpy() >= STOP - START
    assert (made.terms["n_pilots"][late] == 1).all()
    np.testing.assert_array_equal(np.isnan(made.attached.p_value), late)
    assert any(f"{late.sum()} terms carried by one pilot have no rank" in n for n in made.all_notes)
    stays = EventStudy().fit(design(left=(0,)), "m").infer(Permutation(draws=99))
    assert np.isfinite(stays.attached.p_value).all()


def test_one_pilot_that_left_has_no_rank_and_the_reason_is_shown():
    made = DiD().fit(design(n1=1), "m")
    assert recommend(made).inference == Permutation("beta")
    for statistic in ("beta", "t"):
        with pytest.raises(InferenceError) as error:
            made.infer(Permutation(statistic, draws=99))
        assert "Permutation('t')" not in error.value.todo
    assert np.isnan(made.infer().attached.p_value).all()
    assert any("without cells from their stop on" in note for note in made.infer().all_notes)


def test_matched_sets_too():
    sets = MatchedSets(
        {IDS[i]: dict.fromkeys(IDS[N1 + 3 * i : N1 + 3 * i + 3], 1 / 3) for i in range(N1)}
    )
    made = Gap().fit(design(against=sets), "m")
    with pytest.raises(InferenceError, match="from their stop on"):
        made.infer(Permutation("beta", draws=99))
    assert np.isfinite(made.infer(Permutation(draws=99)).attached.p_value[0])


@pytest.mark.slow
def test_t_holds_its_size_when_all_pilots_leave_early():
    """Reviewed with t at 3.3 % and the estimate itself at 19 % of 5."""
    p = [
        DiD().fit(design(seed), "m").infer(Permutation(draws=199)).attached.p_value[0]
        for seed in range(400)
    ]
    assert np.mean(np.array(p) <= 0.05) < 0.08


@pytest.mark.parametrize("sets", [False, True])
def test_the_gap_is_exact_without_noise(sets):
    """Comparators' windows end with the pilot's: what they did later is not compared."""
    unit = np.random.default_rng(1).normal(300, 40, (N, 1))
    y = unit + 3.0 * np.arange(T) ** 2
    starts, stops = {0: 4, 1: 4, 2: 5, 3: 5}, {0: 6, 2: 9}
    for j, start in starts.items():
        y[j, start : stops.get(j, T)] += 7
    said = Rollout(
        {IDS[j]: FIRST + t for j, t in starts.items()},
        stops={IDS[j]: FIRST + t for j, t in stops.items()},
    )
    against = (
        MatchedSets({IDS[j]: {IDS[4 + j]: 0.25, IDS[8]: 0.75} for j in starts}) if sets else Pool()
    )
    design = Design(panel_of(y), said, against=against, selection="unknown", treatment="as_treated")
    found = Gap().fit(design, "m")
    assert found["change"]["estimate"] == pytest.approx(7, abs=1e-9)
    after = [y[j, t : stops.get(j, T)].mean() for j, t in starts.items()]
    level = found.glance().iloc[0]
    assert level["pilots_after"] == pytest.approx(np.mean(after))
    others = level["comparators_after"] - level["comparators_before"]
    assert others == pytest.approx(
        np.mean(
            [
                3 * (np.arange(t, stops.get(j, T)) ** 2).mean() - 3 * (np.arange(t) ** 2).mean()
                for j, t in starts.items()
            ]
        )
    )
    assert found.infer(Permutation(draws=99)).attached.p_value[-1] <= 0.05
