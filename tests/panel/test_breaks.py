"""Breaks that no child caused: planted and published ones are found, smooth series are left."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from helpers import codes
from hypothesis import given, settings
from hypothesis import strategies as st

import didkit as dk
from didkit.errors import PanelError
from didkit.panel import METRICS, Metric, Panel

ROOT = Path(__file__).resolve().parents[2]


def panel_from(first: int = 2011, **matrices: np.ndarray) -> Panel:
    """Make a panel of registered metrics from matrices of units × periods."""
    n, t = next(iter(matrices.values())).shape
    ids = np.repeat(codes(n), t)
    frame = pd.DataFrame({"la": ids, "year": np.tile(np.arange(first, first + t), n)})
    for name, values in matrices.items():
        frame[name] = values.ravel()
    return Panel.from_frame(frame, unit="la", period="year", metrics=list(matrices))


def smooth_counts(n: int = 40, t: int = 8, *, seed: int = 1, level: float = 3000.0) -> np.ndarray:
    """Counts up to 8 % off the level of each unit and a wave that all share: no outlier."""
    rng = np.random.default_rng(seed)
    log = np.log(level) + rng.normal(scale=0.5, size=(n, 1)) + 0.2 * np.sin(np.arange(t))
    return np.rint(np.exp(log + rng.uniform(-0.08, 0.08, size=(n, t))))


def flagged(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    return list(map(tuple, table[["unit", "kind", "period"]].to_numpy()))


# -- recording ------------------------------------------------------------------------------


def test_smooth_series_are_not_flagged():
    table = panel_from(cin_count=smooth_counts()).recording_breaks("cin_count")
    assert table.empty
    assert list(table.columns) == [
        *("unit", "name", "period", "kind", "from", "to", "percent", "statistic", "since", "back")
    ]
    assert table.attrs["judged"] == 40 * 7
    assert table.attrs["not_judged"] == 0


def test_a_step_has_its_values_and_its_direction():
    y = smooth_counts()
    y[7, 3:] = np.rint(y[7, 3:] / 2)
    table = panel_from(cin_count=y).recording_breaks("cin_count")
    assert set(table["unit"]) == {codes(40)[7]}
    row = table.iloc[0]
    assert row["period"] in ("2014", "2015")
    assert row["statistic"] < -4
    assert row["percent"] == pytest.approx(100 * (row["to"] / row["from"] - 1))
    assert row["from"] == y[7, int(row["since"]) - 2011]
    assert row["to"] == y[7, int(row["period"]) - 2011]
    assert np.isnan(row["back"])


def test_a_spike_is_told_from_a_step():
    y = smooth_counts()
    y[5, 4] *= 2
    table = panel_from(cin_count=y).recording_breaks("cin_count")
    assert flagged(table) == [(codes(40)[5], "spike", "2015")]
    row = table.iloc[0]
    assert (row["since"], row["from"], row["to"], row["back"]) == (
        "2014",
        y[5, 3],
        y[5, 4],
        y[5, 5],
    )
    expected = 100 * (y[5, 4] / np.sqrt(y[5, 3] * y[5, 5]) - 1)
    assert row["percent"] == pytest.approx(expected)


def test_a_step_that_wobbles_is_still_a_step():
    y = smooth_counts()
    y[5, 4] *= 2.6
    y[5, 5:] *= 2.0  # higher at first: a cell away from both sides, but it does not come back
    assert {
        kind for _, kind, _ in flagged(panel_from(cin_count=y).recording_breaks("cin_count"))
    } <= {
        "step",
        "two-period step",
    }


def test_a_change_that_takes_two_periods_is_found():
    y = smooth_counts()
    y[9, 3] *= 1.5
    y[9, 4:] *= 2.25
    found = flagged(panel_from(cin_count=y).recording_breaks("cin_count"))
    assert found[0] == (codes(40)[9], "two-period step", "2015")


def test_the_median_change_of_a_period_is_no_break():
    y = smooth_counts()
    y[:, 4:] = np.rint(y[:, 4:] * 3)  # all of them: a change of definition, not of one unit
    assert panel_from(cin_count=y).recording_breaks("cin_count").empty


@settings(max_examples=25)
@given(
    st.integers(0, 39),
    st.integers(1, 6),
    st.sampled_from([0.4, 2.5]),
    st.sampled_from([1.0, 10.0, 0.1]),
)
def test_a_planted_step_is_found_wherever_it_is(unit: int, at: int, factor: float, scale: float):
    y = smooth_counts()
    y[unit, at:] *= factor
    table = panel_from(cin_count=y * scale).recording_breaks("cin_count", dispersion=0)
    assert set(table["unit"]) == {codes(40)[unit]}
    assert np.sign(table["statistic"].iloc[0]) == np.sign(np.log(factor))


def test_without_counting_noise_scale_and_order_of_units_do_not_matter():
    y = smooth_counts()
    y[3, 4:] *= 2.5
    one = panel_from(cin_count=y).recording_breaks("cin_count", dispersion=0)
    per_unit = np.linspace(1, 5, 40)[:, None]
    period = np.linspace(1, 2, 8)[None]
    two = panel_from(cin_count=y * per_unit * period).recording_breaks("cin_count", dispersion=0)
    np.testing.assert_allclose(one["statistic"], two["statistic"], rtol=1e-8)
    three = panel_from(cin_count=y[::-1]).recording_breaks("cin_count", dispersion=0)
    np.testing.assert_allclose(one["statistic"], three["statistic"], rtol=1e-8)


def test_the_statistic_is_the_change_over_the_median_change():
    """By hand: with no noise known, the spread is the median absolute change over 0.6745."""
    y = smooth_counts()
    y[0, 4:] *= 3
    table = panel_from(cin_count=y).recording_breaks("cin_count", dispersion=0)
    change = np.diff(np.log(y), axis=1)
    change -= np.median(change, axis=0)
    spread = np.sqrt(np.median(change**2) / 0.454936)
    attrs = table.attrs["spread"]
    assert attrs["step"] == pytest.approx(spread, rel=1e-5)
    step = table[table["kind"] == "step"]
    for row in step.itertuples():
        at = int(row.period) - 2012
        assert row.unit == "301"
        assert row.statistic == pytest.approx(change[0, at] / spread, rel=1e-5)
    two = np.log(y)[:, 2:] - np.log(y)[:, :-2]
    two -= np.median(two, axis=0)
    assert attrs["two-period step"] == pytest.approx(
        np.sqrt(np.median(two**2) / 0.454936), rel=1e-5
    )


def test_missing_cells_are_not_crossed():
    y = smooth_counts()
    y[7, 4:] *= 3
    y[7, 4] = np.nan  # between 2014 and 2016 nothing is known
    table = panel_from(cin_count=y).recording_breaks("cin_count")
    assert table.empty
    assert table.attrs["judged"] == 40 * 7 - 2
    assert table.attrs["not_judged"] == 2


def test_small_counts_need_a_larger_jump():
    rng = np.random.default_rng(3)
    large = smooth_counts(60)
    small = np.rint(12 + rng.uniform(-6, 6, size=(20, 8)))  # the variance of a count of 12
    panel = panel_from(cin_count=np.vstack([large, small]))
    assert panel.recording_breaks("cin_count").empty
    ignored = panel.recording_breaks("cin_count", dispersion=0)
    assert len(ignored) > 10
    assert set(ignored["unit"]) <= set(codes(80)[60:])
    assert panel.recording_breaks("cin_count").attrs["dispersion"]["step"] == pytest.approx(
        1, abs=0.5
    )


def test_a_rate_and_its_count_are_flagged_alike():
    y = smooth_counts()
    y[7, 3:] *= 2.5
    children = np.full(y.shape, 80_000.0)
    panel = panel_from(cin_count=y, cin=y / children * 1e4)
    one, two = panel.recording_breaks("cin_count"), panel.recording_breaks("cin")
    assert flagged(one) == flagged(two)
    np.testing.assert_allclose(one["statistic"], two["statistic"], rtol=1e-3)


def test_a_rate_without_its_count_knows_its_rounding():
    rng = np.random.default_rng(4)
    rate = np.vstack(
        [300 * np.exp(rng.normal(scale=0.02, size=(30, 8))), rng.uniform(1.6, 3.4, size=(10, 8))]
    )
    cla = panel_from(cla=np.round(rate))  # whole numbers: 2 or 3 is no jump
    assert cla.recording_breaks("cla").empty
    exact = panel_from(cin=np.round(rate) + 0.01)  # the same with more digits is one
    assert len(exact.recording_breaks("cin")) > 5


def test_a_zero_is_half_a_count():
    y = smooth_counts()
    y[3, 5] = 0
    table = panel_from(cin_count=y).recording_breaks("cin_count", dispersion=1)
    assert flagged(table) == [(codes(40)[3], "spike", "2016")]
    assert table["to"].tolist() == [0]


def test_a_jump_among_constant_series_is_infinitely_large():
    y = np.full((20, 5), 100.0)
    y[2, 3:] = 120.0
    table = panel_from(m=y).recording_breaks("m")
    assert set(table["unit"]) == {codes(20)[2]}
    assert np.isinf(table["statistic"]).all()
    assert (table["statistic"] > 0).any()


def test_nothing_is_edited():
    y = smooth_counts()
    y[7, 3:] *= 3
    panel = panel_from(cin_count=y)
    before = panel.tidy()
    panel.recording_breaks("cin_count")
    pd.testing.assert_frame_equal(before, panel.tidy())


def words(function: object, *arguments: object, **options: object) -> str:
    with pytest.raises(PanelError) as caught:
        function(*arguments, **options)  # type: ignore[operator]
    return str(caught.value)


def test_recording_breaks_refuses_in_words():
    panel = panel_from(cin_count=smooth_counts())
    for wrong in (0, -1, np.nan, "4", True):
        assert "threshold=" in words(panel.recording_breaks, "cin_count", threshold=wrong)
    assert "0 or more" in words(panel.recording_breaks, "cin_count", dispersion=-0.1)
    assert "30 steps" in words(panel_from(m=np.ones((14, 3))).recording_breaks, "m")
    assert "0 steps" in words(panel_from(m=np.ones((9, 20))).recording_breaks, "m")
    for periods in (1, 2):
        few = panel_from(m=np.ones((90, periods)))
        assert "at least three periods" in words(few.recording_breaks, "m")
    negative = words(panel_from(m=-np.ones((20, 5))).recording_breaks, "m")
    assert "100 (301 in 2011: -1" in negative
    assert "choose one of" in words(panel.recording_breaks, "cla")


def test_three_periods_are_enough():
    y = smooth_counts(t=3)
    y[7, 1:] *= 3
    table = panel_from(cin_count=y).recording_breaks("cin_count")
    assert table["unit"].tolist() == [codes(40)[7]]
    assert table["statistic"].iloc[0] > 4


# -- denominators ---------------------------------------------------------------------------


def rates_over(
    *, n: int = 60, name: str = "cin", rebased: float = 0.0, seed: int = 1, keep: bool = False
) -> Panel:
    """Make a count and its published rate over populations, rebased from the fifth of 8 periods."""
    rng = np.random.default_rng(seed)
    growth = rng.normal(scale=0.006, size=(n, 1)) + rng.normal(scale=0.004, size=(n, 8))
    children = np.rint(50_000 * np.exp(0.3 * rng.normal(size=(n, 1)) + growth.cumsum(axis=1)))
    over = children.copy()
    over[:, 4:] *= np.exp(rebased * rng.normal(size=(n, 1)))
    count = rng.poisson(0.0065 * children).astype(float)
    rate = np.round(count / over * 1e4, METRICS[name].decimals or 0)
    held = {METRICS[name].denominator: children} if keep else {}
    return panel_from(**{name: rate, f"{name}_count": count}, **held)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["cin", "cla"])
def test_one_vintage_is_not_flagged_and_another_is(name: str):
    assert not rates_over(name=name).denominator_breaks(name)["flagged"].any()
    table = rates_over(name=name, rebased=0.03).denominator_breaks(name)
    assert table.loc[table["flagged"], ["since", "period"]].to_numpy().tolist() == [
        ["2014", "2015"]
    ]
    assert len(table) == 7
    assert (table["n"] == 60).all()


def test_the_statistic_is_the_spread_over_what_is_expected():
    """By hand, for rates so exact that rounding is nothing."""
    panel = rates_over(rebased=0.03)
    rate, count = panel.wide("cin").to_numpy(), panel.wide("cin_count").to_numpy()
    exact = Metric(name="r", kind="rate", numerator="cin_count", per=10_000)
    frame = panel.tidy().pivot_table(index=["unit", "period"], columns="metric", values="value")
    made = Panel.from_frame(
        frame.reset_index(),
        unit="unit",
        period="period",
        metrics={"cin": exact, "cin_count": "cin_count"},
        calendar=panel.calendar.labels,
    )
    row = made.denominator_breaks("r").set_index("period").loc["2015"]
    change = np.diff(np.log(count / rate), axis=1)[:, 3]
    moved = change - np.median(change)
    mad = np.median(np.abs(moved - np.median(moved)))
    assert row["rounding"] == 0
    assert row["spread"] == pytest.approx(100 * 1.4826 * mad)
    assert row["median"] == pytest.approx(100 * np.median(change))
    assert row["statistic"] == pytest.approx(1.4826 * mad / 0.01)
    assert row["critical"] == pytest.approx(1 + 2.9825 * 1.1664 / np.sqrt(60), rel=1e-3)
    furthest = codes(60)[int(np.argmax(np.abs(moved)))]
    assert row["moved_most"].startswith(furthest)
    top = moved[np.argmax(np.abs(moved))]
    assert f"{100 * np.expm1(top):+.1f}".replace("-", "−") in row["moved_most"].split(",")[0]


def test_rounding_alone_is_known():
    """Constant populations, whole rates: all that moves is rounding, and its size is right."""
    rng = np.random.default_rng(5)
    children = np.full((3000, 3), 50_000.0)
    count = rng.integers(250, 400, size=children.shape).astype(float)
    n = len(count)
    frame = pd.DataFrame({"u": np.repeat(np.arange(n), 3), "y": np.tile([2011, 2012, 2013], n)})
    frame["cla_count"], frame["cla"] = count.ravel(), np.round(count / children * 1e4).ravel()
    panel = Panel.from_frame(
        frame, unit="u", period="y", metrics=["cla", "cla_count"], identity="any"
    )
    row = panel.denominator_breaks("cla", smooth=1e-6).iloc[0]
    change = np.diff(np.log(panel.wide("cla_count") / panel.wide("cla")), axis=1)[:, 0]
    assert row["rounding"] == pytest.approx(100 * change.std(), rel=0.05)
    assert row["statistic"] == pytest.approx(1.0, abs=0.1)


def test_the_panels_own_denominator_sees_smaller_breaks():
    table = rates_over(rebased=0.012, keep=True, seed=2).denominator_breaks("cin")
    bases = dict(list(table.groupby("basis")))
    assert set(bases) == {"implied", "implied / population"}
    ratio = bases["implied / population"]
    assert ratio.loc[ratio["flagged"], "period"].tolist() == ["2015"]
    assert not bases["implied"]["flagged"].any()


def test_a_denominator_that_moves_along_hides_nothing():
    panel = rates_over(rebased=0.03, keep=True)
    over = (
        panel.wide("cin_count") / panel.wide("cin") * 1e4
    )  # the population in the panel moves too
    along = panel_from(
        cin=panel.wide("cin").to_numpy(),
        cin_count=panel.wide("cin_count").to_numpy(),
        population=over.to_numpy(),
    )
    found = along.denominator_breaks("cin").query("flagged")
    assert found[["basis", "period"]].to_numpy().tolist() == [["implied", "2015"]]


def test_a_period_without_rates_is_stepped_over_and_said():
    panel = rates_over(rebased=0.06)
    rate = panel.wide("cin").to_numpy().copy()
    rate[:, 4] = np.nan
    count = panel.wide("cin_count").to_numpy()
    table = panel_from(cin=rate, cin_count=count).denominator_breaks("cin")
    assert table[["since", "period", "n"]].to_numpy().tolist()[3:5] == [
        ["2014", "2015", 0],
        ["2014", "2016", 60],
    ]
    assert table.loc[table["flagged"], "period"].tolist() == ["2016"]
    assert np.isnan(table["statistic"].iloc[3])
    two_years = table.iloc[4]  # twice the growth is expected
    assert two_years["statistic"] == pytest.approx(two_years["spread"] / 100 / 0.02, rel=0.01)


def test_the_units_that_move_most_are_furthest_from_the_median():
    children = np.full((20, 3), 50_000.0) * np.array([[1.0, 1.3, 1.69]])  # all grow by 30 %
    children[6, 1:] = 50_000.0  # but one
    count = np.rint(0.04 * children)
    table = panel_from(cin=np.round(count / children * 1e4, 1), cin_count=count).denominator_breaks(
        "cin"
    )
    assert table["moved_most"].iloc[0].startswith(f"{codes(20)[6]} −23.1")
    assert table["median"].iloc[0] == pytest.approx(100 * np.log(1.3), abs=0.01)


def test_units_may_come_in_any_order_and_size():
    panel = rates_over(rebased=0.02)
    rate, count = panel.wide("cin").to_numpy(), panel.wide("cin_count").to_numpy()
    one = panel.denominator_breaks("cin")
    two = panel_from(cin=rate[::-1], cin_count=count[::-1]).denominator_breaks("cin")
    np.testing.assert_allclose(one["statistic"], two["statistic"], rtol=1e-9)
    sizes = np.linspace(1, 3, 60)[:, None]  # larger units at the same rates
    three = panel_from(cin=rate, cin_count=count * sizes).denominator_breaks("cin")
    np.testing.assert_allclose(one["statistic"], three["statistic"], rtol=1e-9)


def test_denominator_breaks_refuses_in_words():
    panel = rates_over()
    for option in ("smooth", "smooth_ratio", "false_alarms"):
        for wrong in (0, 1, -0.1, np.nan, "1"):
            assert f"{option}=" in words(panel.denominator_breaks, "cin", **{option: wrong})
    assert "the count it is made of" in words(panel.denominator_breaks, "cin_count")
    other = Metric(name="cla", kind="rate", numerator="cla_count", per=10_000)
    both = panel.replaced(
        metrics={**panel.metrics, "cla": other},
        cells={**{name: panel.cells(name) for name in panel.metrics}, "cla": panel.cells("cin")},
        sources={**panel.sources, "cla": panel.sources["cin"]},
    )
    assert words(both.denominator_breaks, "cin_count").endswith("did you mean 'cin'?")
    counts = panel.select(metrics="cin_count")  # no rate there to have meant
    assert "read the count too" in words(counts.denominator_breaks, "cin_count")
    alone = panel.select(metrics=["cin"])
    assert "a rate of 'cin_count', which is not there" in words(alone.denominator_breaks, "cin")
    few = panel.select(units=panel.unit_ids[:9])
    assert "2011: 9, 2012: 9" in words(few.denominator_breaks, "cin")
    for last in (2011, 2012):
        short = panel.select(periods=range(2011, last + 1))
        assert "at least three periods" in words(short.denominator_breaks, "cin")


def test_the_ratio_of_a_computed_rate_is_left_out_and_said():
    panel = rates_over(rebased=0.03, keep=True)
    table = panel.denominator_breaks("cin")
    assert table.attrs["left_out"] == []
    assert list(table.columns[:5]) == ["period", "basis", "flagged", "statistic", "critical"]
    made = panel.compute_rate("cin", replace_published=True)
    found = made.denominator_breaks("cin")
    assert set(found["basis"]) == {"implied"}
    (said,) = found.attrs["left_out"]
    assert said.startswith("implied / population: the rate was computed: cin_count / population")
    # a computed rate beside another population than it was made of is no trivial ratio
    other = rates_over(rebased=0.03, keep=True, seed=5).cells("population")
    cells = {name: made.cells(name) for name in made.metrics} | {"population": other}
    moved = made.replaced(cells=cells).denominator_breaks("cin")
    assert set(moved["basis"]) == {"implied", "implied / population"}
    assert moved.attrs["left_out"] == []


# -- how often, on panels with a known answer -----------------------------------------------


@pytest.fixture(scope="module")
def study() -> ModuleType:
    spec = importlib.util.spec_from_file_location("break_study", ROOT / "docs" / "break_study.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_drawn_panels_without_a_break_are_seldom_flagged(study: ModuleType):
    rows = pd.DataFrame([row for seed in range(1, 6) for row in study.without_break(seed)])
    normal = rows[(rows["errors"] == "in proportion") & (rows["at"] == study.THRESHOLD)]
    assert normal["flags"].mean() < 1  # of about 3,000 changes a panel; the page says how many
    strict = rows[(rows["errors"] == "in proportion") & (rows["at"] == 5.0)]
    assert strict["flags"].sum() <= 1


def test_drawn_panels_that_were_rebased_are_flagged(study: ModuleType):
    growth = study.GROWTH[0]
    for seed in range(1, 4):
        for name in ("cin", "cla"):
            table = study.populations(seed, 150, growth, 0.02).denominator_breaks(name)
            assert table.loc[table["flagged"], "period"].tolist() == ["2017"]
            flat = study.populations(seed, 150, growth, 0.0).denominator_breaks(name)
            assert not flat["flagged"].any()


def test_the_page_has_the_tables_of_the_study(study: ModuleType):
    text = (ROOT / "docs" / "breaks.md").read_text(encoding="utf-8")
    written = text.split(study.START)[1].split(study.END)[0]
    assert "python docs/break_study.py --seeds" in written
    for word in (*study.ERRORS, "step × 2", "no rebasing"):
        assert f"| {word} |" in written


# -- published tables -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def dfe(shared_data: Path) -> Path:
    return shared_data / "dfe"


@pytest.fixture(scope="module")
def cin_2020(dfe: Path) -> Panel:
    return dk.read_dfe(dfe / "cin_2020")


def test_lait_changes_its_population_between_2018_and_2019(dfe: Path):
    pytest.importorskip("pyarrow")
    panel = dk.read_dfe(dfe / "lait").select(metrics=["cla", "cla_count"])
    table = panel.denominator_breaks("cla")
    assert table.loc[table["flagged"], ["since", "period"]].to_numpy().tolist() == [
        ["2018", "2019"]
    ]
    most = table.set_index("period").loc["2019", "moved_most"]
    assert "Westminster −25.9" in most
    assert table["period"].tolist() == [str(year) for year in range(2017, 2026)]


@pytest.mark.parametrize("release", ["cla_2021", "cla_2025", "sfr_cla/CLA2018.csv"])
def test_releases_of_children_looked_after_have_one_vintage(dfe: Path, release: str):
    table = dk.read_dfe(dfe / release).denominator_breaks("cla")
    assert set(table["basis"]) == {"implied", "implied / cla_population"}
    assert table["statistic"].notna().all()
    assert not table["flagged"].any()


@pytest.mark.parametrize("rate", ["cin", "cpp", "icpc"])
def test_the_release_of_2020_has_one_vintage(cin_2020: Panel, rate: str):
    table = cin_2020.denominator_breaks(rate)
    assert not table["flagged"].any()
    implied = table[table["basis"] == "implied"]
    assert implied["statistic"].between(0.4, 1.0).all()  # populations spread by 0.5 to 0.9 %
    ratio = table[table["basis"] == "implied / population"]
    assert (ratio["statistic"] < 0.3).all()  # recomputed rates equal the published ones


def test_two_releases_joined_are_found_out(dfe: Path):
    """Old populations to 2020 and rebased ones from 2021, asked for by name."""
    metrics = ["cla", "cla_count", "cla_population"]
    old = dk.read_dfe(dfe / "cla_2021").select(metrics=metrics, periods=[2018, 2019, 2020])
    new = dk.read_dfe(dfe / "cla_2025").select(metrics=metrics, periods=[2021, 2022, 2023])
    found = old.join(new, releases="mixed").denominator_breaks("cla").query("flagged")
    assert found[["basis", "period"]].to_numpy().tolist() == [["implied", "2021"]]


def test_breaks_in_children_in_need_that_are_known(cin_2020: Panel):
    for metric in ("cin", "cin_count"):
        table = cin_2020.recording_breaks(metric).set_index("unit")
        assert table.loc["926", "period"] == "2017"  # Norfolk: 10,644 to 4,794
        assert table.loc["855", "period"] == "2015"  # Leicestershire: 4,891 to 2,058
        assert table.loc["938", "period"] == "2018"  # West Sussex: to 7,233
        assert len(table) <= 12  # of 152 authorities × 8 years
    assert cin_2020.recording_breaks("cin_count").set_index("unit").loc["926", "to"] == 4794


def test_the_plans_of_wakefield(cin_2020: Panel):
    table = cin_2020.recording_breaks("cpp")
    assert flagged(table)[0] == ("384", "two-period step", "2019")
    assert table[["from", "to"]].iloc[0].tolist() == [22.1, 69.6]
    assert len(table) <= 3


def test_later_years_show_west_sussex_as_a_spike(dfe: Path):
    table = dk.read_dfe(dfe / "cin_2025").recording_breaks("cin_count")
    row = table[table["unit"] == "938"].iloc[0]
    assert row["kind"] == "spike"
    assert row[["from", "to", "back"]].tolist() == [4548, 7233, 4699]
