"""Studies count what happened; the size table of the methods page comes out of them."""

from __future__ import annotations

import multiprocessing
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import didkit as dk
from didkit.errors import DesignError, DidkitError, EstimationError, InferenceError, PanelError
from didkit.results import Uncertainty
from didkit.simulate import (
    Drawn,
    LongDifferences,
    OwnPanel,
    PanelProcess,
    PlaceboPanel,
    replicate,
    study,
)
from didkit.simulate.studies import reach_of

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))
import inference_sizes as sizes

LONG = dk.DiD("complete")
SMALL = LongDifferences(3, 12)


@dataclass(frozen=True)
class Told:
    """An inference with a rule that can be counted by hand: estimate ± reach, p by its sign."""

    reach: float = 1.0
    p_above: float = 0.01
    p_below: float = 0.5
    refuses: float = np.inf
    seed: int = field(default=0, kw_only=True)
    draws: int = field(default=9, kw_only=True)

    def attach(self, estimate, *, level=0.95):
        value = estimate.values
        if value[0] > self.refuses:
            raise InferenceError(needed="less", found=str(value[0]), where="Told", todo="nothing")
        nan = np.full(len(value), np.nan)
        p = np.where(value > 0, self.p_above, self.p_below)
        reach = self.reach if np.isfinite(self.reach) or value[0] > 0 else 1.0
        sure = Uncertainty(
            self, "told", level, nan, nan, p, value - reach, value + reach,
            facts={"seed": self.seed, "draws": self.draws},
        )  # fmt: skip
        return estimate.with_uncertainty(sure)


def estimates(process, seeds):
    return np.array(
        [LONG.fit((d := process.draw(seed)).design, d.metric).values[0] for seed in seeds]
    )


def test_every_column_is_what_can_be_counted_by_hand():
    process, seeds = LongDifferences(3, 12, effect=0.4), range(5, 45)
    made = study(LONG, Told(0.5), process, seeds)
    value = estimates(process, seeds)
    row = made.table.iloc[0]
    n, share, held = 40, (value > 0).mean(), (np.abs(value - 0.4) <= 0.5).mean()
    assert row[["method", "term", "seeds", "refused"]].tolist() == ["Told", "att", n, 0]
    assert 0 < share < 1
    assert 0 < held < 1
    expected = {
        "truth": 0.4, "rejects": share, "rejects_mc_error": (share * (1 - share) / n) ** 0.5,
        "covers": held, "covers_mc_error": (held * (1 - held) / n) ** 0.5,
        "bias": value.mean() - 0.4, "sd": value.std(ddof=1),
        "bias_mc_error": value.std(ddof=1) / n**0.5, "half_width": 0.5, "infinite": 0.0,
    }  # fmt: skip
    for name, number in expected.items():
        assert row[name] == pytest.approx(number, abs=1e-12), name
    np.testing.assert_allclose(made.draws["estimate"], value)
    assert made.draws["seed"].tolist() == list(seeds)


def test_infinite_intervals_are_a_share_and_not_a_width():
    made = study(LONG, Told(np.inf), SMALL, 30)
    value = estimates(SMALL, range(30))
    row = made.table.iloc[0]
    assert row["infinite"] == pytest.approx((value > 0).mean())
    assert row["half_width"] == 1.0
    assert "infinite %" in made.to_markdown()


def test_refusals_are_counted_by_reason_and_left_out_of_the_shares():
    made = study(LONG, {"a": Told(refuses=0.3), "b": Told()}, SMALL, 40)
    value = estimates(SMALL, range(40))
    a, b = made.table.to_dict("records")
    gone = int((value > 0.3).sum())
    assert 0 < gone < 40
    assert (a["seeds"], a["refused"], b["seeds"], b["refused"]) == (40 - gone, gone, 40, 0)
    assert a["rejects"] == pytest.approx((value[value <= 0.3] > 0).mean())
    assert a["sd"] == pytest.approx(b["sd"])  # the estimate is there all the same
    assert made.refusals.to_dict("records") == [
        {"method": "a", "term": "att", "reason": "needs less", "seeds": gone}
    ]
    assert f"a gave no p-value in {gone} replications: needs less" in made.summary()


def test_one_pilot_is_refused_by_name_and_a_p_that_is_nan_counts_as_none():
    made = study(
        LONG, {"CR2": dk.ClusterRobust("CR2"), "nan": Told(p_below=np.nan)},
        LongDifferences(1, 9), 20,
    )  # fmt: skip
    robust, nan = made.table.to_dict("records")
    assert (robust["seeds"], robust["refused"]) == (0, 20)
    assert np.isnan(robust["rejects"])
    assert np.isfinite(robust["bias"])
    assert nan["rejects"] == 1.0
    assert nan["refused"] > 0
    assert set(made.refusals["reason"]) == {
        "needs at least two clusters of pilots and two of comparators", "no p-value for att",
    }  # fmt: skip
    with pytest.raises(DidkitError, match="at least one method"):
        study(LONG, dk.ClusterRobust("CR2"), LongDifferences(1, 9), 2).plot()


@dataclass(frozen=True)
class Odd:
    """An estimator that refuses where a unit's number is above zero."""

    def fit(self, design, metric):
        made = LONG.fit(design, metric)
        if made.values[0] > 0:
            raise EstimationError(needed="less", found="more", where="Odd", todo="nothing")
        return made


def test_what_the_estimator_refuses_counts_for_every_method():
    value = estimates(SMALL, range(20))
    made = study(Odd(), {"a": Told(), "b": Told(2.0)}, SMALL, 20)
    assert made.table["refused"].tolist() == [(value > 0).sum()] * 2
    assert made.table["seeds"].tolist() == [(value <= 0).sum()] * 2
    assert made.table["term"].tolist() == ["att", "att"]


@pytest.mark.parametrize(("level", "p"), [(0.9, 0.1), (0.95, 0.05), (0.8, 0.2)])
def test_a_p_of_exactly_alpha_rejects(level, p):
    made = study(LONG, Told(p_above=p, p_below=p), SMALL, 4, level=level)
    assert made.table["rejects"].tolist() == [1.0]
    above = study(LONG, Told(p_above=p + 1e-6, p_below=p + 1e-6), SMALL, 4, level=level)
    assert above.table["rejects"].tolist() == [0.0]


def test_random_inferences_have_random_numbers_of_their_own_in_each_replication():
    used = [replicate._own(Told(seed=3), seed, 99) for seed in range(5)]
    assert len({one.seed for one in used}) == 5
    assert {one.draws for one in used} == {99}
    assert replicate._own(Told(seed=3), 4, None) == replicate._own(Told(seed=3), 4, None)
    assert replicate._own(Told(seed=3), 4, None).seed != replicate._own(Told(seed=2), 4, None).seed
    assert replicate._own(Told(), 1, None).draws == 9
    plain = dk.ClusterRobust("CR2")
    assert replicate._own(plain, 4, 99) is plain


def test_the_recommended_method_is_the_one_that_the_design_would_get():
    made = study(LONG, {"own": None, "t": dk.Permutation("t")}, LongDifferences(9, 40), 6, draws=99)
    own, named = (made.draws[made.draws["method"] == m] for m in ("own", "t"))
    assert own["p_value"].tolist() == named["p_value"].tolist()
    assert made.used.to_dict("records")[0] == {
        "method": "own", "inference": "Permutation", "seeds": 6,
    }  # fmt: skip
    assert "own was Permutation in 6 replications" in made.notes
    assert study(LONG, None, LongDifferences(9, 9), 2).table["method"].tolist() == ["recommended"]


def test_size_is_not_power_and_the_words_say_which():
    robust = dk.ClusterRobust("CR2")
    null = study(LONG, robust, LongDifferences(9, 40), 150)
    moved = study(LONG, robust, LongDifferences(9, 40, effect=1.5), 150)
    assert null.table["rejects"][0] < 0.12
    assert moved.table["rejects"][0] > 0.8
    # an effect shifts the estimate and its interval, so that errors and coverage stay
    for name in ("covers", "bias", "sd", "half_width"):
        assert null.table[name][0] == pytest.approx(moved.table[name][0]), name
    assert null.null
    assert "is the size of the test, and should be 5%" in null.reads
    assert not moved.null
    assert "is power" in moved.reads
    assert "rejects %" in null.to_markdown()
    assert "rejects %" in moved._repr_html_()


@dataclass(frozen=True)
class ByTerm:
    """A panel with an effect."""

    def draw(self, seed):
        process = PanelProcess(pilots=3, comparators=12, before=2, after=2, effect=1.0)
        made = process.draw(seed)
        return Drawn(made.design, made.metric, 1.0)


def test_terms_have_truths_of_their_own():
    events = dk.EventStudy()
    names = [str(term) for term in events.fit(*_drawn(ByTerm())).terms["term"]]
    truth = dict.fromkeys(names, 1.0) | {names[0]: 0.0}
    made = study(events, Told(0.5), Truths(truth), 25)
    assert made.table["term"].tolist() == names
    assert made.table["truth"].tolist() == list(truth.values())
    assert (np.abs(made.table["bias"]) < 4 * made.table["bias_mc_error"]).all()
    assert "where truth is 0" in made.reads
    one = study(events, Told(0.5), Truths(truth), 5, terms=names[-1:])
    assert one.table["term"].tolist() == names[-1:]
    with pytest.raises(EstimationError, match="nobody"):
        study(events, Told(), Truths(1.0), 5, terms=["nobody"])
    with pytest.raises(InferenceError, match="none for 1 "):
        study(events, Told(), Truths({names[0]: 0.0}), 5, terms=names[-1:])


def _drawn(process):
    made = process.draw(1)
    return made.design, made.metric


@dataclass(frozen=True)
class Truths:
    truth: object

    def draw(self, seed):
        made = ByTerm().draw(seed)
        return Drawn(made.design, made.metric, self.truth)


def test_the_numbers_are_the_same_for_any_number_of_processes():
    _, design = dk.datasets.load_evaluation()
    process = OwnPanel(design, "cpp", noise="sizes")  # a design has read-only mappings inside
    methods = {"t": dk.Permutation("t", draws=99), "own": None}
    one, two = (study(LONG, methods, process, 12, jobs=jobs, draws=99) for jobs in (1, 2))
    assert one.draws.equals(two.draws)
    assert one.table.equals(two.table)
    assert one.draws["p_value"].nunique() > 6


def test_an_interruption_passes_through_and_leaves_no_process(monkeypatch):
    def interrupted(items, label, *, total=None):
        yield next(iter(items))
        raise KeyboardInterrupt

    monkeypatch.setattr(replicate, "steps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study(LONG, dk.ClusterRobust("CR2"), SMALL, 400, jobs=2)
    assert multiprocessing.active_children() == []


@dataclass(frozen=True)
class Slow:
    """A process that takes its time, and leaves a file for each draw."""

    folder: str

    def draw(self, seed):
        time.sleep(0.1)
        (Path(self.folder) / str(seed)).touch()
        return SMALL.draw(seed)


def test_an_interruption_does_not_wait_for_the_rest_of_a_chunk(monkeypatch, tmp_path):
    def interrupted(items, label, *, total=None):
        yield next(iter(items))
        raise KeyboardInterrupt

    monkeypatch.setattr(replicate, "steps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study(LONG, dk.ClusterRobust("CR2"), Slow(str(tmp_path)), 900, jobs=2)
    # chunks are of 29 seeds: one was whole, and both processes were at work on others
    assert 29 <= len(list(tmp_path.iterdir())) <= 2 * 29 + 8
    assert multiprocessing.active_children() == []


def test_what_other_processes_cannot_import_is_refused_and_does_not_hang():
    class Local:
        def draw(self, seed):
            return SMALL.draw(seed)

    with pytest.raises(InferenceError, match="use jobs=1"):
        study(LONG, Told(), Local(), 4, jobs=2)
    assert study(LONG, Told(), Local(), 4).table["seeds"].tolist() == [4]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"estimator": dk.DiD}, "estimator"),
        ({"inference": "CR2"}, "inference"),
        ({"inference": {}}, "inference"),
        ({"inference": {"a": dk.ClusterRobust}}, "inference"),
        ({"process": LongDifferences}, "process"),
        ({"process": 3}, "process"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"seeds": [-1]}, "seeds"),
        ({"seeds": "ten"}, "seeds"),
        ({"level": 1.0}, "level"),
        ({"jobs": 0}, "jobs"),
        ({"terms": "att"}, "terms"),
        ({"draws": 3}, "draws"),
    ],
)
def test_arguments_that_are_none_are_refused_by_name(change, where):
    given = {"estimator": LONG, "inference": Told(), "process": SMALL, "seeds": 2} | change
    with pytest.raises(InferenceError, match=rf"study\({where}=\)"):
        study(**given)


def test_the_picture_shows_the_table_and_says_who_is_far():
    methods = {"CR1": dk.ClusterRobust("CR1"), "CR2": dk.ClusterRobust("CR2")}
    made = study(LONG, methods, LongDifferences(3, 57, "small"), 120)
    ax = made.plot()
    assert ax.data["rejects"].tolist() == made.table["rejects"].tolist()
    assert ax.data["far"].tolist() == [True, False]
    title = ax.get_title(loc="left").replace("\n", " ")
    share = 100 * made.table["rejects"]
    assert title.startswith(f"Tests at 5% reject a true null in {share[1]:.1f}% (CR2) to")
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["CR1", "CR2"]
    bars = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2]
    width = 4 * made.table["rejects_mc_error"][0]
    assert any(np.ptp(bar) == pytest.approx(width) for bar in bars)
    assert any(list(bar) == [0.05, 0.05] for bar in map(list, bars))
    moved = study(LONG, methods, LongDifferences(1, 20, effect=2.0), 3)
    with pytest.raises(DidkitError):
        moved.plot()


# -- what is no process, no design and no inference ------------------------------------------------


@dataclass(frozen=True)
class Unchanged:
    """An inference that forgets to attach anything."""

    gives: object = None

    def attach(self, estimate, *, level=0.95):
        return estimate if self.gives is None else self.gives


@pytest.mark.parametrize("gives", [None, 3])
@pytest.mark.parametrize("name", ["mine", "other"])
def test_an_inference_that_attaches_nothing_is_not_counted_under_its_name(gives, name):
    with pytest.raises(InferenceError, match=r"Unchanged\.attach"):
        study(LONG, {name: Unchanged(gives)}, SMALL, 3)


@dataclass(frozen=True)
class Draws:
    """A process that returns what it is given, or a draw with other parts."""

    gives: object = None
    metric: str = "outcome"
    truth: object = 0.0

    def draw(self, seed):
        made = SMALL.draw(seed)
        return Drawn(made.design, self.metric, self.truth) if self.gives is None else self.gives


@pytest.mark.parametrize("gives", [3, (1, 2, 3), Drawn("design", "outcome")])
def test_a_process_that_draws_something_else_is_refused(gives):
    with pytest.raises(InferenceError, match=r"Draws\.draw\(5\)") as caught:
        study(LONG, Told(), Draws(gives), [5, 6])
    assert "Drawn(design, metric, truth)" in caught.value.needed
    assert type(gives).__name__ in caught.value.found


@pytest.mark.parametrize("truth", ["zero", np.nan, {"att": None}])
def test_a_truth_that_is_no_number_is_refused(truth):
    with pytest.raises(InferenceError, match="the true effect"):
        study(LONG, Told(), Draws(truth=truth), 2)


def test_a_metric_that_does_not_exist_fails_and_is_no_refusal():
    with pytest.raises(PanelError, match="outcom"):
        study(LONG, Told(), Draws(metric="outcoms"), 2)


@pytest.mark.parametrize(
    "make", [OwnPanel, PlaceboPanel, PanelProcess.calibrated], ids=["own", "placebo", "calibrated"]
)
def test_arguments_in_the_wrong_order_are_refused(make):
    panel, design = dk.datasets.load_evaluation()
    for wrong, found in (
        (("cpp", design), "str, then Design"),
        ((panel, "cpp"), "Panel, then str"),
        ((design, 3), "Design, then int"),
    ):
        with pytest.raises(DesignError, match="a design, then the name of a metric") as caught:
            make(*wrong)
        assert caught.value.found == found


def test_seeds_that_stand_twice_are_named():
    with pytest.raises(InferenceError) as caught:
        study(LONG, Told(), SMALL, [4, 1, 7, 1])
    assert caught.value.found == "more than once: 1 (1)"


def test_only_what_is_wrong_is_told_of():
    with pytest.raises(DesignError) as caught:
        LongDifferences(0, 20)
    assert caught.value.found == "pilots=0"
    assert caught.value.needed == "pilots: a whole number, 1 or more"
    with pytest.raises(DesignError) as caught:
        PanelProcess(pilots=3, comparators=2.5, before=1, after=1, ar1=1, noise="loud")
    assert caught.value.found == "comparators=2.5, ar1=1, noise='loud'"
    assert caught.value.needed.startswith(
        "comparators: a whole number, 1 or more; ar1: a number, between -1 and 1; noise: one of"
    )


# -- how it is shown -------------------------------------------------------------------------------


def test_none_and_all_have_a_bar_of_three_in_n():
    methods = {"never": Told(np.inf, 0.5, 0.5), "always": Told(0.0, 0.01, 0.01)}
    made = study(LONG, methods, SMALL, 60)
    assert made.table["rejects"].tolist() == [0.0, 1.0]
    never, always = (row.split("|") for row in made.to_markdown().splitlines()[2:])
    assert never[6].strip() == "0.0 (≤ 5.0)"
    assert always[6].strip() == "100.0 (≥ 95.0)"
    assert always[7].strip() == "0.0 (≤ 5.0)"
    data = made.plot().data
    assert data["low"].tolist() == [0.0, pytest.approx(0.95)]
    assert data["high"].tolist() == [pytest.approx(0.05), 1.0]
    assert data["far"].tolist() == [False, True]
    # half the intervals are none: three in those that there are
    half = study(LONG, Gone(), SMALL, 60)
    held = int((estimates(SMALL, range(60)) > 0).sum())
    row = half.to_markdown().splitlines()[2].split("|")
    assert row[7].strip() == f"100.0 (≥ {100 - 300 / held:.1f})"


@dataclass(frozen=True)
class Gone:
    """An interval of everything, or none where the estimate is below zero; always a p."""

    def attach(self, estimate, *, level=0.95):
        value = estimate.values
        end = np.where(value > 0, np.inf, np.nan)
        nan, p = np.full(1, np.nan), np.full(1, 0.5)
        return estimate.with_uncertainty(Uncertainty(self, "gone", level, nan, nan, p, -end, end))


def test_the_rule_of_three_is_close_to_the_exact_end():
    from scipy.stats import binomtest

    for n in (30, 100, 1000):
        exact = binomtest(0, n, alternative="less").proportion_ci(0.95).high
        assert reach_of(0.0, 0.0, n, errors=2)[1] == pytest.approx(
            exact, rel=2 / n + 0.002
        )  # 3 for 2.996
        assert reach_of(1.0, 0.0, n, errors=2) == (1 - 3 / n, 1.0)
    assert reach_of(0.5, 0.05, 100, errors=2) == pytest.approx((0.4, 0.6))
    assert reach_of(0.0, 0.0, 2, errors=2) == (0.0, 1.0)


def test_the_heading_has_no_number_that_nobody_can_read():
    _, design = dk.datasets.load_evaluation()
    for process in (OwnPanel(design, "cpp"), PanelProcess.calibrated(design, "cpp")):
        heading = study(LONG, Told(), process, 2).settings
        assert not re.search(r"\.\d{4}", heading), heading
        assert "between=11, within=13.8, ar1=0.52" in heading


def test_notes_name_the_columns_of_the_table_that_is_shown():
    made = study(LONG, Told(), LongDifferences(3, 12, effect=1.0), 4)
    for one in (made, study(LONG, Told(), SMALL, 4)):
        shown = one.to_markdown().splitlines()[0]
        named = re.findall(r"`(\w+)`", one.reads)
        assert set(named) == {"rejects", "covers"}
        assert all(f"| {name} % |" in shown for name in named)
        assert "| truth |" in shown


# -- the size table of the methods page ------------------------------------------------------------

QUICK = ("CR1", "CR3", "CR2-BM", "Welch", "pooled t")
REDUCED = {  # cell → methods, seeds
    "9v141 noisier": (QUICK, 250),
    "9v141 small": ((*QUICK[:3], "pooled t", "Conley–Taber"), 200),
    "3v147 normal": (("CR1", "CR3", "CR2-BM", "wild restricted", "permutation t"), 200),
    "1v149 small": (("pooled t", "permutation β", "Ferman–Pinto"), 250),
    "2v2 normal": ((*QUICK, "wild restricted", "permutation β", "permutation t"), 250),
    "4v4 normal": (("CR2-BM", "pooled t", "wild restricted", "permutation t"), 250),
}


@pytest.mark.parametrize("name", REDUCED)
def test_sizes_are_those_of_the_methods_page(name):
    """Within three combined Monte Carlo errors; the full size is docs/inference_sizes.md."""
    names, seeds = REDUCED[name]
    cell = sizes.cells()[name]
    known = sizes.PLAIN | sizes.SIZED
    made = study(LONG, {n: known[n] for n in names}, cell.process, range(10_000, 10_000 + seeds))
    for row in made.table.itertuples():
        assert row.refused == 0
        apart = sizes.compare(name, row.method, 100 * row.rejects, row.seeds)
        assert abs(apart) <= sizes.APART, (row.method, row.rejects, apart)


def test_the_comparison_sees_what_is_apart():
    assert abs(sizes.compare("9v141 normal", "CR1", 9.2, 3000)) < 0.1
    assert sizes.compare("9v141 normal", "CR1", 11.8, 3000) > 3
    assert sizes.compare("9v141 normal", "CR1", 6.9, 3000) < -3
    assert sizes.compare("2v2 normal", "wild restricted", 0.0, 3000) == 0
    assert sizes.compare("2v2 normal", "wild restricted", 1.0, 3000) > 3
    assert np.isnan(sizes.compare("1v149 normal", "CR2-BM", 5.0, 3000))


def test_the_page_and_the_table_are_made_of_what_was_run():
    found = sizes.stored()
    assert set(found["cell"]) == set(sizes.cells())
    assert sizes.PAGE.read_text(encoding="utf-8") == sizes.page(found)
    assert sizes.SIZES.read_text(encoding="utf-8") == sizes.sizes(found)


def test_the_full_table_is_apart_in_two_cells_at_most():
    table = sizes.compared(sizes.stored())
    assert len(table.dropna()) >= 80
    assert (table["apart"].abs() > sizes.APART).sum() <= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", sizes.PRINTED)
def test_sizes_are_those_of_the_methods_page_in_every_cell(name):
    found = sizes.run(name, 1000)
    apart = sizes.compared(found)["apart"].abs()
    assert (apart > 4).sum() == 0
    assert (apart > sizes.APART).sum() <= 1
