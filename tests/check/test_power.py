"""Power before the data: the formula's theorems and known table, simulation, real pre-periods."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from helpers import FIRST, codes, design_of, frame_of, noise, spread
from scipy import stats

from didkit.check import DetectableEffect, Power, Variation
from didkit.check.curves import Size
from didkit.check.expected import power_of_t, standard_error
from didkit.design import Design, MatchedSets, Pool, Rollout
from didkit.errors import DidkitError, InferenceError
from didkit.estimate import DiD, EventStudy
from didkit.inference import ClusterRobust, Permutation
from didkit.panel import Panel
from didkit.results import Uncertainty

ONE = Variation(between=0.0, within=0.5**0.5)  # one period before, one after: W has sd 1
D = DetectableEffect()


def of_w(n1: int, n0: int, **options: str) -> float:
    made = D.expected(ONE, pilots=n1, comparators=n0, before=1, after=1, **options)
    return made.facts["detectable"]


# -- by formula -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n1", "n0", "low", "high"),
    [
        (9, 141, 1.0, 1.1),
        (9, 9, 1.4, 1.4),
        (5, 145, 1.3, 1.7),
        (3, 147, 1.6, 3.2),
        (1, 149, 2.8, 2.8),
        (4, 4, 2.4, 2.4),
        (2, 2, 5.7, 5.7),
    ],
)
def test_the_table_in_standard_deviations_of_w(n1, n0, low, high):
    """The lower end is the pooled test, the upper CR2: where both arms are alike they are one."""
    assert round(of_w(n1, n0, test="pooled"), 1) == low
    assert round(of_w(n1, n0, test="CR2"), 1) == high


@pytest.mark.parametrize(
    ("n1", "n0", "short"), [(9, 141, 0.001), (5, 145, 0.010), (3, 147, 0.047), (2, 2, 0.051)]
)
def test_blooms_sum_is_too_small_where_degrees_of_freedom_are_few(n1, n0, short):
    ratio = of_w(n1, n0, multiplier="Bloom") / of_w(n1, n0)
    assert 1 - ratio == pytest.approx(short, abs=6e-4)


@pytest.mark.parametrize("df", [1.02, 4.2, 16, 148])
@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_power_of_t_is_the_noncentral_t(df, shift, level):
    c = stats.t.ppf((1 + level) / 2, df)
    truth = stats.nct.sf(c, df, shift) + stats.nct.sf(c, df, -shift)
    assert float(power_of_t(shift, df, level)) == pytest.approx(truth, abs=1e-6)
    assert float(power_of_t(-shift, df, level)) == float(power_of_t(shift, df, level))


@pytest.mark.parametrize(("n1", "n0", "off"), [(9, 9, 0.0), (6, 60, 0.01)])
def test_the_formula_finds_what_it_says(n1, n0, off):
    """20,000 simulated panels, Welch's error with Bell–McCaffrey's df, by hand."""
    made = Variation(between=3.0, within=2.0, ar1=0.4)
    before, after, n = 4, 2, 20_000
    power = D.expected(made, pilots=n1, comparators=n0, before=before, after=after)
    effect, df = power.facts["detectable"], power.table["df"].iloc[0]
    rng = np.random.default_rng(3)
    root = np.linalg.cholesky(made.covariance(before + after))
    e = rng.standard_normal((n, n1 + n0, before + after)) @ root.T
    w = e[:, :, before:].mean(axis=2) - e[:, :, :before].mean(axis=2)
    one, two = w[:, :n1] + effect, w[:, n1:]
    error = np.sqrt(one.var(axis=1, ddof=1) / n1 + two.var(axis=1, ddof=1) / n0)
    t = (one.mean(axis=1) - two.mean(axis=1)) / error
    assert w.std() * np.sqrt(1 / n1 + 1 / n0) == pytest.approx(
        power.table["std_error"][0], rel=0.01
    )
    found = float((np.abs(t) > stats.t.ppf(0.975, df)).mean())
    assert found == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / n) + off)


@pytest.mark.parametrize(("before", "after"), [(1, 1), (4, 2), (3, 7)])
def test_without_serial_correlation_it_is_the_textbook_variance(before, after):
    made = standard_error(Variation(between=9, within=2), Size(5, 20, before, after))
    assert made == pytest.approx(2 * np.sqrt((1 / before + 1 / after) * (1 / 5 + 1 / 20)))


@pytest.mark.parametrize("ar1", [-0.3, 0.0, 0.5, 0.9])
@pytest.mark.parametrize(("m", "r"), [(1, 1), (4, 2), (6, 5)])
def test_it_is_burlig_preonas_and_woermans_variance(ar1, m, r):
    """Their equation 2: mean covariances within before, within after and across."""
    made = Variation(between=3, within=2, ar1=ar1)
    cov = made.covariance(m + r)
    pairs = [cov[s, t] for s, t in itertools.permutations(range(m), 2)]
    b = np.mean(pairs) if pairs else 0.0
    pairs = [cov[s, t] for s, t in itertools.permutations(range(m, m + r), 2)]
    a = np.mean(pairs) if pairs else 0.0
    x = cov[:m, m:].mean()
    truth = (m + r) / (m * r) * 4 + (m - 1) / m * b + (r - 1) / r * a - 2 * x
    got = standard_error(made, Size(4, 10, m, r)) ** 2
    assert got == pytest.approx(truth * (1 / 4 + 1 / 10))


def test_limits_of_the_formula():
    made = Variation(between=3, within=2, ar1=0.4)

    def column(test: str = "pooled", **options: object) -> np.ndarray:
        given = {"pilots": 6, "comparators": 40, "before": 4, "after": 3, **options}
        return D.expected(made, test=test, **given).table["detectable"].to_numpy()  # type: ignore[arg-type]

    few, many = [1, 2, 3, 5, 8, 13, 20, 21, 29], [2, 3, 5, 9, 10, 25, 40, 41, 59]
    assert (np.diff(column(pilots=few)) < 0).all()
    assert (np.diff(column(comparators=many)) < 0).all()
    assert (np.diff(column(test="CR2", pilots=few[1:])) < 0).all()
    # with two pilots CR2 leans on their own spread the more, the more comparators there are
    two = column(test="CR2", pilots=2, comparators=[10, 150])
    assert two[0] < two[1]
    # before → ∞: only the mean over the periods after is left
    error = D.expected(made, pilots=6, comparators=40, before=1500, after=3).table["std_error"][0]
    alone = Variation(between=0, within=2, ar1=0.4).variance_of(np.full(3, 1 / 3))
    assert error == pytest.approx(np.sqrt(alone * (1 / 6 + 1 / 40)), rel=2e-3)


def test_serial_correlation_helps_a_short_window_and_hurts_a_long_one():
    def error(ar1: float, n: int) -> float:
        return standard_error(Variation(between=0, within=1, ar1=ar1), Size(5, 50, n, n))

    grid = np.linspace(-0.9, 0.9, 19)
    short = [error(r, 1) for r in grid]
    assert (np.diff(short) < 0).all()  # 2σ²(1 − ρ)
    assert short[-1] ** 2 == pytest.approx(2 * 0.1 * (1 / 5 + 1 / 50))
    assert error(0.5, 8) > error(0.0, 8)
    # one period after: older periods before make the comparison worse where much carries over
    one = [
        standard_error(Variation(between=0, within=1, ar1=0.6), Size(5, 50, n, 1)) for n in (1, 8)
    ]
    assert one[0] < one[1]


def test_lasting_differences_between_units_do_not_matter():
    many = [
        D.expected(Variation(between=b, within=2), pilots=5, comparators=50, before=4, after=3)
        for b in (0.0, 50.0)
    ]
    assert many[0].facts["detectable"] == pytest.approx(many[1].facts["detectable"])


def test_power_at_given_effects():
    plain = D.expected(ONE, pilots=5, comparators=50, before=1, after=1)
    size = plain.facts["detectable"]
    made = D.expected(
        ONE, pilots=5, comparators=50, before=1, after=1, effects=[size, 0, 9], base=20.0
    )
    table = made.tidy()
    assert table["effect"].tolist() == [0, size, 9]
    assert table["power"].iloc[:2].tolist() == pytest.approx([0.05, 0.8], abs=1e-6)
    assert (table["detectable"] == size).all()
    assert table["percent"].tolist() == pytest.approx([0, 5 * size, 45])
    assert made.facts["percent"] == pytest.approx(5 * size)


@pytest.mark.parametrize(("n1", "n0"), [(1, 30), (30, 1)])
def test_an_arm_of_one_takes_the_others_spread(n1, n0):
    made = D.expected(ONE, pilots=n1, comparators=n0, before=1, after=1)
    assert made.table["df"].tolist() == [29]
    assert made.facts["detectable"] == of_w(n1, n0, test="pooled")
    assert any("no spread of its own" in note for note in made.notes)
    with pytest.raises(InferenceError, match="found: 1 pilot and 1 comparator\n"):
        of_w(1, 1)


def test_designs_are_every_combination_in_order():
    made = D.expected(ONE, pilots=[3, 2], comparators=[10, 7.5], before=2, after=np.array([1, 2]))
    table = made.designs()
    assert table[["pilots", "comparators", "after"]].to_numpy().tolist() == [
        [p, c, a] for p in (3, 2) for c in (10, 7.5) for a in (1, 2)
    ]
    assert made.facts["detectable"] == table["detectable"][0]
    assert [made.facts[k] for k in ("pilots", "comparators", "before", "after")] == [3, 10, 2, 1]


# -- from the periods before ----------------------------------------------------------------------

N, T, START = 30, 8, 5
PILOTS = spread(N, 6, START)


def test_before_the_data_is_the_formula_with_the_designs_numbers():
    y = noise(N, T, 4)
    design = design_of(y, PILOTS)
    made = D.before(design, "m")
    same = D.expected(Variation.of(design, "m"), pilots=6, comparators=24, before=5, after=3)
    assert made.facts["detectable"] == same.facts["detectable"]
    free = [j for j in range(N) if j not in PILOTS]
    base = y[free, :START].mean()
    assert made.facts["percent"] == pytest.approx(100 * made.facts["detectable"] / base)
    assert made.table["percent"][0] == made.facts["percent"]


@pytest.mark.parametrize("way", ["before", "resampled", "simulated"])
def test_nothing_from_the_start_on_is_looked_at(way):
    y = noise(N, T, 4)
    other = y.copy()
    other[:, START:] = np.random.default_rng(9).normal(0, 500, (N, T - START)) ** 2
    planned = y.copy()
    planned[:, START:] = np.nan
    cheap = {"replications": 20, "inference": Fixed()}
    options = {"simulated": cheap, "resampled": {"draws": 99}}.get(way, {})
    found = [getattr(D, way)(design_of(x, PILOTS), "m", **options) for x in (y, other, planned)]
    assert found[0].table.equals(found[1].table)
    assert found[0].table.equals(found[2].table)


def test_matched_sets_weigh_as_their_effective_number():
    ids, rows = codes(N), list(PILOTS)
    free = [ids[j] for j in range(N) if j not in PILOTS]
    sets = {ids[j]: {free[0]: 0.5, free[i + 1]: 0.5} for i, j in enumerate(rows)}
    design = design_of(noise(N, T, 4), PILOTS, against=MatchedSets(sets))
    effective = 1 / (0.5**2 + 6 * (0.5 / 6) ** 2)
    made = D.before(design, "m")
    assert made.facts["comparators"] == pytest.approx(effective)
    assert any("7 comparators" in note and "3.4" in note for note in made.notes)
    again = D.before(design, "m", comparators=24)
    assert not any("weighed alike" in note for note in again.notes)
    both = MatchedSets({ids[j]: {ids[rows[i - 1]]: 1.0} for i, j in enumerate(rows)},
                       include_pilots=True)  # fmt: skip
    with pytest.raises(InferenceError, match="comparators that are not pilots"):
        D.before(design_of(noise(N, T, 4), PILOTS, against=both), "m")


def test_staggered_starts_take_the_window_of_most():
    starts = {1: 4, 5: 5, 9: 5, 13: 6}
    made = D.before(design_of(noise(N, T, 4), starts), "m")
    assert (made.facts["before"], made.facts["after"]) == (5, 3)
    assert any("staggered" in note for note in made.notes)


# -- by simulation --------------------------------------------------------------------------------


def test_simulation_is_the_intervals_by_hand():
    made = Variation(between=5, within=2, ar1=0.5)
    effects = [0.0, 1.0, 2.0, 4.0]
    power = D.simulated(
        made, pilots=4, comparators=10, before=3, after=2, replications=25, seed=7, effects=effects
    )
    rng = np.random.default_rng([7, 0])
    df = D.expected(made, pilots=4, comparators=10, before=3, after=2).table["df"][0]
    ends = []
    for _ in range(25):
        mu = 5 * rng.standard_normal((14, 1))
        y = mu + rng.standard_normal((14, 5)) @ np.linalg.cholesky(made.covariance(5)).T
        w = y[:, 3:].mean(axis=1) - y[:, :3].mean(axis=1)
        b = w[:4].mean() - w[4:].mean()
        error = np.sqrt(w[:4].var(ddof=1) / 4 + w[4:].var(ddof=1) / 10)
        reach = stats.t.ppf(0.975, df) * error
        ends.append((b - reach, b + reach))
    ends = np.array(ends)
    table = power.tidy().set_index("effect")["power"]
    assert list(table.index) == [-4, -2, -1, 0, 1, 2, 4]
    for effect, share in table.items():
        truth = np.mean((ends[:, 0] + effect > 0) | (ends[:, 1] + effect < 0))
        assert share == pytest.approx(truth), effect
    assert power.facts["size"] == table[0.0]
    # the detectable effect is the twentieth of 25 lower ends
    assert power.tidy().query("effect > 0")["detectable"].iloc[0] == pytest.approx(
        np.sort(-ends[:, 0])[19], rel=1e-5
    )


@pytest.mark.parametrize(
    "replications", [60, pytest.param(2000, marks=pytest.mark.slow)], ids=["fast", "slow"]
)
def test_simulation_and_formula_agree(replications):
    made = Variation(between=5, within=2, ar1=0.5)
    numbers = {"pilots": 6, "comparators": 18, "before": 3, "after": 2}
    size = D.expected(made, **numbers).facts["detectable"]
    power = D.simulated(made, **numbers, replications=replications, seed=2, effects=[0, size])
    table = power.tidy().set_index("effect")
    for effect, truth in ((size, 0.8), (-size, 0.8), (0.0, 0.05)):
        error = np.sqrt(truth * (1 - truth) / replications)
        assert table.loc[effect, "power"] == pytest.approx(truth, abs=3 * error + 0.005)


@pytest.mark.parametrize(
    ("estimator", "inference"),
    [
        (EventStudy(), ClusterRobust("CR2")),
        (DiD("complete"), Permutation(draws=99)),
        (DiD(), Permutation("beta", draws=99)),
    ],
)
def test_any_estimator_and_inference(estimator, inference):
    design = design_of(noise(9, 4, 4), {1: 2, 4: 2, 8: 2})
    made = D.simulated(
        design, "m", estimator=estimator, inference=inference, replications=20, seed=1
    )
    assert 0 < made.facts["detectable"] < np.inf
    assert type(estimator).__name__ in made.notes[0]
    assert made.table["power"].is_monotonic_increasing is False  # both directions
    right = made.table.query("effect >= 0")["power"]
    assert right.iloc[-1] > right.iloc[0]


def test_a_design_keeps_its_gaps_starts_and_sets():
    y = noise(11, 6, 4)
    y[3, :2] = np.nan
    ids, starts = codes(11), {1: 4, 5: 3, 9: 4}
    free = [ids[j] for j in range(11) if j not in starts]
    sets = {ids[j]: {free[2 * i]: 0.5, free[2 * i + 1]: 0.5} for i, j in enumerate(starts)}
    seen: list[Design] = []

    class Spy:
        def fit(self, design: Design, metric: str):  # type: ignore[no-untyped-def]
            seen.append(design)
            return DiD().fit(design, metric)

    design = design_of(y, starts, against=MatchedSets(sets))
    kept = design.sample("m").y.copy()
    D.simulated(design, "m", estimator=Spy(), inference=Fixed(), replications=20)  # type: ignore[arg-type]
    assert all(one.starts == design.starts and one.sets == design.sets for one in seen)
    made = seen[-1].sample("m")
    assert (made.mask == design.sample("m").mask).all()
    assert not np.isclose(made.y[made.mask], seen[-2].sample("m").y[made.mask]).any()
    assert np.array_equal(design.sample("m").y, kept, equal_nan=True)


class Fixed:
    """An interval of fixed width: cheap, and shifted by an effect."""

    def attach(self, estimate, *, level):  # type: ignore[no-untyped-def]
        nan = np.full(estimate.n_terms, np.nan)
        return estimate.with_uncertainty(
            Uncertainty(
                inference=self,
                method="a fixed width",
                level=level,
                std_error=nan,
                statistic=nan,
                p_value=nan,
                conf_low=estimate.values - 1,
                conf_high=estimate.values + 1,
            )
        )


class Halved:
    """Half the estimate: an effect moves it by half."""

    def fit(self, design, metric):  # type: ignore[no-untyped-def]
        made = DiD().fit(design, metric)
        return replace(made, values=made.values / 2)


class Widened:
    """An interval that is wider, the larger the estimate."""

    def attach(self, estimate, *, level):  # type: ignore[no-untyped-def]
        made = ClusterRobust("CR2").attach(estimate, level=level)
        sure = made.attached
        low = sure.conf_low - np.abs(estimate.values)
        return estimate.with_uncertainty(replace(sure, inference=self, conf_low=low))


def test_what_an_effect_does_not_shift_is_refused():
    numbers = {"pilots": 4, "comparators": 10, "before": 3, "after": 2, "replications": 20}
    with pytest.raises(InferenceError, match=r"moved the estimate by 0\.5[\s\S]*Halved"):
        D.simulated(Variation(between=0, within=1), estimator=Halved(), **numbers)  # type: ignore[arg-type]
    with pytest.raises(InferenceError, match="moved the lower end by"):
        D.simulated(Variation(between=0, within=1), inference=Widened(), **numbers)  # type: ignore[arg-type]


# -- from real pre-periods ------------------------------------------------------------------------


def test_resampling_is_every_assignment_by_hand():
    """Seven untreated units, two pilots: 21 assignments; one period before, one after."""
    y = noise(8, 4, 11)
    design = design_of(y, {2: 2})
    check = DetectableEffect(level=0.8)
    made = check.resampled(design, "m", pilots=2, statistic="beta", seed=5, effects=[0, 3, 9, 30])
    free = [j for j in range(8) if j != 2]
    w = y[free, 1] - y[free, 0]
    carry = np.zeros(7)
    carry[np.random.default_rng([5, 0]).choice(7, size=2, replace=False)] = 1

    def differences(x: np.ndarray) -> np.ndarray:
        pairs = list(itertools.combinations(range(7), 2))
        return np.array([x[list(p)].mean() - np.delete(x, p).mean() for p in pairs])

    table = made.tidy()
    assert table["effect"].tolist() == [-30, -9, -3, 0, 3, 9, 30]
    for effect, share in table[["effect", "power"]].to_numpy():
        null = np.sort(np.abs(differences(w + effect * carry)))[::-1]
        limit = null[4]  # p ≤ .2: at most 4 of 21 at least as large
        truth = np.mean(np.abs(differences(w) + effect) > limit * (1 + 1e-9))
        assert share == pytest.approx(truth), effect
    assert made.facts["size"] == pytest.approx(4 / 21)
    assert made.facts["least_p"] == pytest.approx(1 / 21)
    assert (made.table["mc_error"] == 0).all()


def test_resampling_noise_is_the_formula():
    """Independent normal cells: the permutation of t finds what the pooled formula promises."""
    rng = np.random.default_rng(8)
    y = 100 + rng.normal(0, 5, (150, 7))
    design = design_of(y, spread(150, 10, 5))
    for n1 in (9, 20):
        made = D.resampled(design, "m", pilots=n1, before=3, after=2, draws=4000)
        w = y[:, 3:5].mean(axis=1) - y[:, :3].mean(axis=1)
        free = np.array([j not in spread(150, 10, 5) for j in range(150)])
        drawn = Variation(between=0, within=float(w[free].std(ddof=1)) / (1 / 2 + 1 / 3) ** 0.5)
        truth = [
            D.expected(drawn, pilots=n1, comparators=140 - n1, before=3, after=2, test=test).facts[
                "detectable"
            ]
            for test in ("pooled", "CR2")
        ]
        assert truth[0] * 0.97 < made.facts["detectable"] < truth[1] * 1.03
        assert made.facts["size"] == pytest.approx(0.05, abs=0.002)
        assert made.facts["comparators"] == 140 - n1


def test_the_critical_value_carries_the_effect():
    """Many pilots ranked by the estimate: their effect is in the null, which costs power."""
    rng = np.random.default_rng(8)
    design = design_of(rng.normal(0, 5, (30, 6)) + 100, spread(30, 2, 4))
    made = D.resampled(design, "m", pilots=12, draws=2000, statistic="beta", effects=[0, 5, 500])
    table = made.tidy().set_index("effect")["power"]
    b = D.resampled(design, "m", pilots=12, draws=2000, effects=[0, 5, 500])
    assert table[5.0] < table[500.0] == 1.0  # of 30,421,755 assignments few overlap as much
    assert b.facts["detectable"] > 0


def test_where_no_effect_can_be_found():
    design = design_of(noise(12, 6, 3), {2: 4, 7: 4})
    made = D.resampled(design, "m", pilots=1)
    assert made.facts["least_p"] == pytest.approx(0.1)
    assert made.facts["detectable"] == np.inf
    assert (made.table["power"] == 0).all()
    assert made.headline == "No change, however large, would be found by this test."
    assert any("with 1 pilot among 10 units the least p attainable is 0.1: no effect" in note
               for note in made.notes)  # fmt: skip
    assert DetectableEffect(level=0.8).resampled(design, "m", pilots=1).facts["detectable"] < np.inf


def test_the_least_number_of_units_at_which_one_pilot_can_be_found():
    """p = 1/19 > .05, p = 1/20 is not."""
    for n, found in ((21, False), (22, True)):
        made = D.resampled(design_of(noise(n, 6, 3), {2: 4, 7: 4}), "m", pilots=1)
        assert np.isfinite(made.facts["detectable"]) == found


def test_skewness_shows_in_the_two_directions():
    """A few units rise a lot: a fall and a rise of the same size are not found as often."""
    rng = np.random.default_rng(2)
    y = 100 + rng.normal(0, 1, (60, 6))
    y[10:16, 3:] += 15
    made = D.resampled(design_of(y, {1: 5, 4: 5}), "m", pilots=6, before=3, after=2, draws=2000)
    fall, rise = made.table["detectable"].iloc[0], made.table["detectable"].iloc[-1]
    assert abs(fall / rise - 1) > 0.05
    assert made.facts["detectable"] == max(fall, rise) == made.designs()["detectable"][0]
    ends = made.tidy().set_index("effect")["power"]
    assert ends.index.min() == -ends.index.max()


def test_windows_of_placebo_designs():
    y = noise(N, 10, 4)
    design = design_of(y, dict.fromkeys(PILOTS, 7))
    usual = D.resampled(design, "m", draws=99)
    assert (usual.facts["before"], usual.facts["after"]) == (4, 3)
    made = D.resampled(design, "m", draws=99, before=2, after=[1, 2])
    assert made.designs()["after"].tolist() == [1, 2]
    assert str(FIRST + 4) in made.notes[0]
    assert "begun in " + str(FIRST + 6) in made.notes[0]
    # what lies before the window is not looked at
    other = y.copy()
    other[:, :4] = 7.0
    again = D.resampled(design_of(other, dict.fromkeys(PILOTS, 7)), "m", draws=99,
                        before=2, after=1)  # fmt: skip
    assert again.facts["size"] == made.facts["size"]
    assert again.table["detectable"].iloc[0] == made.table["detectable"].iloc[0]


def test_pilots_take_part_only_when_asked_and_gaps_leave_out():
    y = noise(N, T, 4)
    y[0, 4] = np.nan
    design = design_of(y, PILOTS)
    assert D.resampled(design, "m", draws=99).facts["comparators"] == 23 - 6
    made = D.resampled(design, "m", draws=99, include_pilots=True)
    assert made.facts["comparators"] == 29 - 6


# -- all ------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_numbers_whatever_the_order_of_rows():
    y, pilots = noise(12, 5, 4), {2: 3, 5: 3, 9: 3}
    frame = frame_of(y).sample(frac=1, random_state=1)
    panel = Panel.from_frame(frame, unit="la", period="year", metrics=["m"])
    rollout = Rollout({codes(12)[j]: FIRST + t for j, t in reversed(pilots.items())})
    shuffled = Design(panel, rollout, against=Pool(), selection="unknown")
    design = design_of(y, pilots)
    cheap = {"replications": 20, "inference": Fixed()}
    for way, options in (("resampled", {"draws": 60}), ("simulated", cheap)):
        one, two, other = (
            getattr(D, way)(d, "m", seed=seed, **options).table
            for d, seed in ((design, 1), (shuffled, 1), (design, 2))
        )
        assert one.equals(two)
        assert not one["power"].equals(other["power"])
    assert D.before(design, "m").facts == pytest.approx(D.before(shuffled, "m").facts)


def test_a_power_says_what_it_is():
    made = D.expected(ONE, pilots=[2, 9], comparators=50, before=1, after=1, base=10)
    assert isinstance(made, Power)
    copied = made.tidy()
    copied["effect"] = 0.0
    assert (made.table["effect"] > 0).all()
    assert made.glance()["how"].tolist() == ["expected"]
    assert made.glance()["power"].tolist() == [0.8]
    text = made.summary()
    assert made.headline in text
    assert text.count("| 50 |") == 2
    assert "Note: by formula" in text
    assert "percent" not in replace(made, facts={**made.facts, "base": np.nan}).to_markdown()
    assert "9" in made.to_latex()
    assert made.headline in made._repr_html_()
    assert repr(made) == f"Power(expected): {made.headline}"
    assert "with 2 pilots and " in made.headline
    assert "with 9 pilots." in made.headline
    grid = D.expected(ONE, pilots=[2, 9], comparators=[9, 50], before=1, after=1)
    assert grid.headline.startswith("Over 4 designs")
    assert "9 pilots, 50 comparators, 1 period before and 1 after" in grid.headline
    assert (
        DetectableEffect(power=0.9)
        .expected(ONE, pilots=9, comparators=50, before=1, after=1)
        .headline.startswith(
            "With 9 pilots, 50 comparators, 1 period before and 1 after, a change of"
        )
    )


DESIGN = design_of(noise(N, T, 4), PILOTS)
GIVEN = {"pilots": 5, "comparators": 50, "before": 4, "after": 3}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: D.expected(3.0, **GIVEN), r"needed: a Variation.*\n  found: a float"),  # type: ignore[arg-type]
        (lambda: D.expected(ONE, **{**GIVEN, "pilots": 0}), r"pilots= of at least 1.*\n.*pilots=0"),
        (lambda: D.expected(ONE, **{**GIVEN, "before": 2.5}), r"found: before=2\.5"),
        (lambda: D.expected(ONE, **{**GIVEN, "after": []}), "found: after= without any"),
        (lambda: D.expected(ONE, **{**GIVEN, "after": True}), "found: after=True"),
        (lambda: D.expected(ONE, **{**GIVEN, "comparators": np.nan}), "found: comparators=nan"),
        (lambda: D.expected(ONE, **GIVEN, test="CR1"), "found: test='CR1'"),  # type: ignore[arg-type]
        (lambda: D.expected(ONE, **GIVEN, base=0), "found: 0"),
        (lambda: D.expected(ONE, **GIVEN, effects=[-1]), "sizes of effects"),
        (lambda: D.simulated(ONE, **GIVEN, replications=5), "replications= of at least 20"),
        (lambda: D.simulated(ONE, **GIVEN, seed=-1), "found: replications=500, seed=-1"),
        (lambda: D.simulated(ONE, pilots=5), "without comparators=, before=, after="),
        (lambda: D.simulated(ONE, "m", **GIVEN), "found: a Variation, metric='m'"),
        (lambda: D.simulated(ONE, **{**GIVEN, "comparators": 7.5}), "one by one"),
        (lambda: D.simulated(DESIGN), "found: metric=None"),
        (lambda: D.simulated(DESIGN, "m", pilots=3), "found: metric='m', pilots="),
        (lambda: D.resampled(DESIGN, "m", draws=5), "draws= of at least 19"),
        (lambda: D.resampled(DESIGN, "m", statistic="z"), "found: 'z'"),  # type: ignore[arg-type]
        (lambda: D.resampled(DESIGN, "m", before=4, after=2), r"found: 4 \+ 2 of 5 \(2011 to 2015"),
        (lambda: D.resampled(DESIGN, "m", pilots=13), "found: 24 for 13 pilots"),
        (lambda: D.resampled(DESIGN, "m", pilots=2, estimator=Halves()), "refitted for many"),  # type: ignore[arg-type]
        (lambda: D.before(DESIGN, "nothing"), "nothing"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_name(call, words):
    with pytest.raises(DidkitError, match=words):
        call()


class Halves:
    """An estimator without refits in bulk."""

    def fit(self, design, metric):  # type: ignore[no-untyped-def]
        return replace(DiD().fit(design, metric), reassigned=None)
