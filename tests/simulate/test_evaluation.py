"""The synthetic world has the moments asked for, and its pilots differ in their level only."""

import pickle
import time
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from didkit.errors import DesignError
from didkit.simulate import EvaluationProcess, MetricProcess, draw
from didkit.simulate.places import MERGED, OLD, PLACES, TINY

METRICS = ("cin", "icpc", "cpp", "cla")
SEEDS = range(150)
PROCESS = EvaluationProcess()
CLEAN = PROCESS.clean()


@pytest.fixture(scope="module")
def draws():
    return [draw(CLEAN, seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def full():
    return [draw(PROCESS, seed) for seed in range(60)]


def is_pilot(evaluation):
    return np.isin(evaluation.units, list(evaluation.pilots))


def left_over(rates):
    """What authority and year effects leave."""
    return rates - rates.mean(axis=1, keepdims=True) - rates.mean(axis=0) + rates.mean()


def ar1(left):
    return (left[:, 1:] * left[:, :-1]).sum() / (left[:, :-1] ** 2).sum()


def did(rates, treated):
    """Long difference of the pilots that start in 2018 less that of those never treated."""
    first = treated[:, 5] & ~treated[:, 4]
    change = rates[:, 5:].mean(axis=1) - rates[:, :5].mean(axis=1)
    return change[first].mean() - change[~treated[:, -1]].mean()


# --- calibration ----------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_the_panels_have_the_moments_asked_for(draws, metric):
    wanted = getattr(PROCESS, metric)
    rates = [one.rates[metric] for one in draws]
    left = [left_over(one) for one in rates]
    means = [one.mean(axis=1) for one in rates]
    between = np.mean([one.std(ddof=1) for one in means])
    within = np.mean([one.std() for one in left])
    assert np.mean(means) == pytest.approx(wanted.mean, rel=0.02)
    assert between == pytest.approx(wanted.between_sd, rel=0.05)
    assert within == pytest.approx(wanted.within_sd, rel=0.03)
    assert np.mean([ar1(one) for one in left]) == pytest.approx(wanted.residual_ar1, abs=0.02)
    icc = {"cin": 0.79, "icpc": 0.68, "cpp": 0.67, "cla": 0.93}[metric]
    assert between**2 / (between**2 + within**2) == pytest.approx(icc, abs=0.03)


@pytest.mark.parametrize("metric", METRICS)
def test_authorities_are_right_skewed_and_no_rate_is_negative(draws, metric):
    skew = np.mean([stats.skew(one.rates[metric].mean(axis=1)) for one in draws])
    assert 0.6 < skew < 1.2
    assert min(one.rates[metric].min() for one in draws) >= 0
    assert np.mean([(one.rates[metric] == 0).mean() for one in draws]) < 0.001


def test_child_populations_are_heavily_right_skewed(draws):
    last = [one.population[:, -1] for one in draws]
    assert np.mean([stats.skew(one) for one in last]) > 1.5
    assert np.mean([np.median(one) for one in last]) == pytest.approx(65_000, rel=0.05)
    assert all((one[list(TINY)] < 2500).all() for one in last)


def test_the_national_trend_is_the_one_given(draws):
    cla = np.mean([one.rates["cla"].mean(axis=0) for one in draws], axis=0)
    assert np.diff(cla)[4:].min() > 1
    assert cla[-1] - cla[0] == pytest.approx(10.1, abs=1)


@pytest.mark.parametrize(
    ("change", "moment"),
    [({"within_sd": 12}, "within"), ({"between_sd": 30}, "between"), ({"mean": 80}, "mean")],
)
def test_a_changed_target_is_met(change, moment):
    process = replace(CLEAN, icpc=replace(CLEAN.icpc, **change))
    rates = [draw(process, seed).rates["icpc"] for seed in range(60)]
    found = {
        "within": np.mean([left_over(one).std() for one in rates]),
        "between": np.mean([one.mean(axis=1).std(ddof=1) for one in rates]),
        "mean": np.mean(rates),
    }
    assert found[moment] == pytest.approx(next(iter(change.values())), rel=0.05)


# --- pilots ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "gap"), [("cin", -60), ("icpc", -13), ("cpp", -11), ("cla", -9)]
)
def test_pilots_start_lower_and_stay_so(draws, metric, gap):
    """The gap is the same before and after: parallel trends hold."""
    gaps = np.array(
        [
            one.rates[metric][is_pilot(one)].mean(axis=0)
            - one.rates[metric][~is_pilot(one)].mean(axis=0)
            for one in draws
        ]
    )
    error = gaps.mean(axis=1).std(ddof=1) / np.sqrt(len(gaps))
    assert abs(gaps.mean() - gap) < 3.5 * error
    assert gaps.mean() < 0.6 * gap
    change = gaps[:, 5:].mean(axis=1) - gaps[:, :5].mean(axis=1)
    assert abs(change.mean()) < 3.5 * change.std(ddof=1) / np.sqrt(len(gaps))
    between_years = gaps.mean(axis=0) - gaps.mean()
    assert np.abs(between_years).max() < 0.4 * getattr(PROCESS, metric).within_sd


@pytest.mark.parametrize("metric", METRICS)
def test_pilots_shocks_are_everyones_shocks(draws, metric):
    """Pilots are chosen for their level: their errors have the same spread and no history."""
    left = np.stack([left_over(one.rates[metric]) for one in draws])
    pilot = is_pilot(draws[0])
    spread = left[:, pilot].std() / left[:, ~pilot].std()
    assert spread == pytest.approx(1, abs=0.05)
    last_before_start = left[:, pilot][:, :, 4].mean(axis=1)
    standard = last_before_start.std(ddof=1) / np.sqrt(len(left))
    assert abs(last_before_start.mean()) < 3.5 * standard
    assert ar1(left[:, pilot].reshape(-1, 8)) == pytest.approx(
        ar1(left[:, ~pilot].reshape(-1, 8)), abs=0.06
    )


def test_small_authorities_are_not_noisier(draws):
    spread = np.concatenate([left_over(one.rates["cpp"]).std(axis=1) for one in draws])
    size = np.concatenate([np.log(one.population.mean(axis=1)) for one in draws])
    assert abs(np.corrcoef(spread, size)[0, 1]) < 0.03


def test_errors_are_independent_between_authorities(draws):
    """The mean over many authorities wavers as that of independent ones does."""
    left = np.stack([one.rates["cla"] - one.rates["cla"].mean(axis=1)[:, None] for one in draws])
    expected = left.std(axis=(0, 1)) / np.sqrt(left.shape[1])
    assert left.mean(axis=1).std(axis=0, ddof=1) == pytest.approx(expected, rel=0.25)


def test_starts_and_the_one_that_left():
    evaluation = draw(PROCESS, 1)
    assert sorted(evaluation.pilots.values()) == [2018] * 9 + [2019]
    (leaver,) = evaluation.stops
    assert evaluation.stops[leaver] == 2019
    assert evaluation.pilots[leaver] == 2018
    row = evaluation.units.index(leaver)
    assert evaluation.treated[row].tolist() == [False] * 5 + [True] * 3  # intention to treat
    assert evaluation.treated.sum() == 9 * 3 + 2


@pytest.mark.parametrize("effect", [{"cin": -20.0}, {"cpp": 4.0, "cla": -6.0}, {"icpc": 3.0}])
def test_a_known_effect_is_exactly_that(effect):
    """Only the named metrics move, only in treated cells, and down is down."""
    null, known = draw(CLEAN, 3), draw(replace(CLEAN, effect=effect), 3)
    assert known.effect == {name: effect.get(name, 0.0) for name in METRICS}
    for name in METRICS:
        change = known.rates[name] - null.rates[name]
        expected = np.where(null.treated, effect.get(name, 0.0), 0.0)
        np.testing.assert_allclose(change, expected, atol=1e-9)
        assert did(known.rates[name], known.treated) - did(
            null.rates[name], null.treated
        ) == pytest.approx(effect.get(name, 0.0), abs=1e-9)


# --- counts, overlap, speed -----------------------------------------------------------------------


def test_counts_are_rates_times_population(draws):
    for one in draws[:20]:
        for name in METRICS:
            gap = one.counts[name] - one.rates[name] * one.population / 10_000
            assert np.abs(gap).max() <= (1.5 if name == "cin" else 0.5) + 1e-9


def test_children_in_need_include_plans_and_looked_after(draws, full):
    for one in [*draws, *full]:
        both = one.recorded["cpp"] + one.recorded["cla"]
        assert np.nanmin(one.recorded["cin"] - both) >= 0


def test_levels_of_the_metrics_go_together(draws):
    for other in ("icpc", "cpp", "cla"):
        found = [
            np.corrcoef(one.rates["cin"].mean(axis=1), one.rates[other].mean(axis=1))[0, 1]
            for one in draws
        ]
        assert 0.4 < np.mean(found) < 0.95


def test_a_clean_draw_is_whole_and_fast(draws):
    for one in draws[:5]:
        assert one.population.shape == (152, 8)
        assert one.broken is None
        for name in METRICS:
            assert np.isfinite(one.published_rates[name]).all()
            assert not one.suppressed[name].any()
    times = []
    for seed in range(40):
        start = time.perf_counter()
        draw(CLEAN, seed)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.005


def test_same_seed_same_draw_and_another_seed_another():
    first, again, other = draw(PROCESS, 5), draw(PROCESS, np.int64(5)), draw(PROCESS, 6)
    for name in METRICS:
        np.testing.assert_array_equal(first.published_rates[name], again.published_rates[name])
        assert not np.array_equal(first.rates[name], other.rates[name])


def test_a_process_survives_pickling_and_is_a_key():
    process = EvaluationProcess(effect={"cin": -20})
    again = pickle.loads(pickle.dumps(process))  # noqa: S301
    assert again == process
    assert hash(again) == hash(process)
    assert again != PROCESS


# --- what is missing, withheld, misrecorded, reorganised ------------------------------------------


def test_switches_move_their_own_cells_only():
    with_all, without = draw(PROCESS, 4), draw(CLEAN, 4)
    others = np.setdiff1d(np.arange(152), OLD)
    for name in METRICS:
        np.testing.assert_array_equal(with_all.rates[name][others], without.rates[name][others])
    np.testing.assert_array_equal(with_all.population[others], without.population[others])


def test_two_authorities_become_one(full):
    for one in full[:5]:
        old, clean = list(OLD), draw(CLEAN, one.seed)
        exists = np.isfinite(one.population)
        assert exists[:152, :7].all()
        assert not exists[MERGED, :7].any()
        assert not exists[old, 7].any()
        assert one.population[MERGED, 7] == clean.population[old, 7].sum()
        for name in METRICS:
            assert one.recorded[name][MERGED, 7] == clean.recorded[name][old, 7].sum()
            assert np.isnan(one.rates[name][old, 7]).all()


def test_one_pilot_and_three_neighbours_lack_an_early_year(full):
    for one in full:
        exists = np.isfinite(one.population)
        lists = one.neighbour_index[is_pilot(one)]
        cells = {name: np.argwhere(exists & np.isnan(one.counts[name])) for name in METRICS}
        assert len(cells["cla"]) == 0
        assert len(cells["cin"]) == 4
        assert len(cells["icpc"]) == len(cells["cpp"]) == 2
        assert {year for _, year in cells["cin"]} == {0, 1}
        rows = [row for row, _ in cells["cin"]]
        assert is_pilot(one)[rows].sum() == 1
        assert all(is_pilot(one)[row] or row in lists for row in rows)
        for name in METRICS:
            assert np.isnan(one.published_rates[name][tuple(cells[name].T)]).all()


def test_small_counts_are_withheld_and_a_few_others(full):
    more = 0
    for one in full:
        for name in METRICS:
            count, hidden = one.counts[name], one.suppressed[name]
            small = (count >= 1) & (count <= 5)
            assert (hidden | ~small).all()
            assert np.isnan(one.published_rates[name][hidden]).all()
            assert one.published_rates[name][(count == 0) & ~hidden].sum() == 0
            extra = np.argwhere(hidden & ~small)
            assert len(extra) <= (3 if name == "cpp" else 0)
            assert not is_pilot(one)[extra[:, 0]].any()
            more += len(extra)
        tiny = one.suppressed["cpp"][list(TINY)] | (one.counts["cpp"][list(TINY)] == 0)
        assert tiny.mean() > 0.3
    assert more > len(full)
    assert np.mean([one.suppressed["cpp"][list(TINY)].mean() for one in full]) > 0.5


@pytest.mark.parametrize("where", ["pilot", "comparator"])
def test_a_recording_break_jumps_and_falls_back(where):
    process = replace(CLEAN, recording_break=where)
    broken, true = draw(process, 2), draw(CLEAN, 2)
    row = broken.units.index(broken.broken)
    assert (broken.broken in broken.pilots) == (where == "pilot")
    factor = broken.counts["cin"][row] / true.counts["cin"][row]
    np.testing.assert_allclose(factor, [1, 1, 1.25, 1.6, 1, 1, 1, 1], atol=0.002)
    np.testing.assert_array_equal(broken.rates["cin"], true.rates["cin"])
    same = np.arange(152) != row
    for name in METRICS:
        np.testing.assert_array_equal(broken.counts[name][same], true.counts[name][same])


def test_published_rates_are_rounded_from_counts(full):
    for one in full[:5]:
        for name in METRICS:
            found = one.published_rates[name]
            shown = np.isfinite(found)
            exact = one.counts[name] / one.population * 10_000
            digits = 0 if name == "cla" else 1
            assert np.abs(found - exact)[shown].max() <= 0.5 * 10**-digits + 1e-9
            np.testing.assert_array_equal(found[shown], found[shown].round(digits))


# --- neighbours -----------------------------------------------------------------------------------


def test_neighbour_lists_overlap_as_the_published_ones(full):
    """100 slots of the pilots: about 70 authorities, about 8 slots other pilots, reused to 4."""
    distinct, pilots, most = [], [], []
    for one in full:
        slots = one.neighbour_index[is_pilot(one)].ravel()
        assert len(slots) == 100
        distinct.append(len(set(slots)))
        pilots.append(is_pilot(one)[slots].sum())
        most.append(np.bincount(slots).max())
    assert 66 < np.mean(distinct) < 80
    assert 6 < np.mean(pilots) < 10
    assert 3 < np.mean(most) < 4.5


def test_neighbour_lists_are_lists(full):
    for one in full[:10]:
        near = one.neighbour_index
        assert near.shape == (153, 10)
        assert all(len(set(row)) == 10 for row in near)
        assert not (near == np.arange(153)[:, None]).any()
        assert not np.isin(near, [*OLD, *TINY]).any()
        assert (np.diff(one.neighbour_distance, axis=1) >= 0).all()
        table = one.neighbours
        assert len(table) == 1530
        assert set(table["closeness"]) == {
            "Extremely Close", "Very Close", "Close", "Somewhat close", "Not Close",
        }  # fmt: skip
        tiny = table[table["la_code"] == PLACES[TINY[0]].code]
        assert set(tiny["closeness"]) == {"Not Close"}


def test_neighbours_know_nothing_of_shocks_or_effects():
    one = draw(PROCESS, 9)
    louder = replace(PROCESS.cin, within_sd=60), replace(PROCESS.icpc, residual_ar1=0.3)
    other = draw(replace(PROCESS, cin=louder[0], icpc=louder[1], effect={"cla": 9}), 9)
    np.testing.assert_array_equal(one.neighbour_index, other.neighbour_index)
    assert not np.array_equal(one.rates["cin"], other.rates["cin"])


def test_neighbours_are_like_in_level(draws):
    """Nearness has to do with the permanent level, as in the published lists."""
    found = []
    for one in draws[:40]:
        level = one.rates["cin"].mean(axis=1)
        plain = ~is_pilot(one) & ~np.isin(np.arange(152), TINY)
        found.append(
            np.corrcoef(level[plain], level[one.neighbour_index].mean(axis=1)[plain])[0, 1]
        )
    assert np.mean(found) > 0.3


# --- places and errors ----------------------------------------------------------------------------


def test_places_are_fictional_and_unique(shared_data):
    real = (shared_data / "geography" / "las.csv").read_text(encoding="utf-8-sig")
    for field in ("code", "name", "e_code"):
        values = [getattr(place, field) for place in PLACES]
        assert len(set(values)) == 153
        assert not any(f",{value}," in f",{line}," for value in values for line in real.split("\n"))
    assert any("," in place.name for place in PLACES)
    assert any("É" in place.name for place in PLACES)
    assert any("'" in place.name for place in PLACES)
    assert len({place.region_code for place in PLACES}) == 9


@pytest.mark.parametrize(
    ("make", "needed", "found"),
    [
        (lambda: EvaluationProcess(effect={"cim": -20}), "cin, icpc, cpp, cla", "cim"),
        (lambda: EvaluationProcess(effect={"cin": np.nan}), "finite", "cin=nan"),
        (lambda: EvaluationProcess(start=2013), "start after 2013", "start=2013"),
        (lambda: EvaluationProcess(n_pilots=0), "3 to 40 pilots", "n_pilots=0"),
        (lambda: EvaluationProcess(stop=2018), "stops after its start", "stop=2018"),
        (lambda: EvaluationProcess(recording_break="both"), "parameters", "'both'"),
        (lambda: replace(CLEAN.cla, within_sd=-1), "above 0", "within_sd=-1"),
        (lambda: replace(CLEAN.cla, trend=(1.0,)), "8 trend values", "1 values of trend"),
        (lambda: draw(CLEAN, -1), "whole number", "-1"),
        (lambda: draw(CLEAN, 1.5), "whole number", "1.5"),
        (lambda: draw(CLEAN, True), "whole number", "True"),
        (
            lambda: draw(replace(CLEAN, cla=replace(CLEAN.cla, momentum=0.0)), 1),
            "residual_ar1 of cla that 8 years allow: -0.56 to 0.56",
            "residual_ar1=0.62",
        ),
        (
            lambda: draw(replace(CLEAN, cpp=replace(CLEAN.cpp, between_sd=60)), 1),
            "between_sd of cpp",
            "60",
        ),
    ],
)
def test_an_impossible_process_is_refused_by_name(make, needed, found):
    with pytest.raises(DesignError) as caught:
        make()
    assert needed in caught.value.needed
    assert found in caught.value.found
    assert caught.value.todo


def test_parameters_of_a_metric_are_checked_at_construction():
    with pytest.raises(DesignError, match="momentum"):
        MetricProcess(mean=10, between_sd=1, within_sd=1, residual_ar1=0, momentum=1.0)
