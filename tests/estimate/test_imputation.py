"""Imputation: another program's numbers, the paper's formulas written out, and what is refused."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest
from helpers import design_of, frame_of, noise, treated, with_gaps

import didkit as dk
from didkit.errors import DesignError, EstimationError

N, T = 18, 7
STARTS = {2: 3, 5: 3, 9: 5, 14: 5, 16: 4}


def reference(folder, case):
    table = pd.read_csv(folder / "did2s_didimputation.csv")
    return table[table["case"] == case].reset_index(drop=True)


@functools.cache
def frame_from(path):
    return pd.read_csv(path)


def from_file(folder, name, unit, start, metrics, **options):
    frame = frame_from(folder / "data" / f"{name}.csv")
    return dk.Design.from_frame(
        frame,
        unit=unit,
        period="year",
        start=start,
        metrics=metrics,
        selection="unknown",
        **options,
    )


CASTLE = ("castle", "sid", "gvar", ["l_homicide", "l_income", "unemployrt", "popwt"])
HET = ("df_het", "unit", "g", ["dep_var"])
GOLDEN = {
    # did_imputation(data=df_het, yname='dep_var', gname='g', tname='year', idname='unit')
    "bjs_het_static": (HET, {}, {}),
    # the same with horizon=TRUE, pretrends=-5:-1
    "bjs_het_es": (HET, {}, {"by": "dynamic", "pretrends": 5}),
    # the same with cluster_var='state'
    "bjs_het_static_clstate": (HET, {"clusters": "state"}, {}),
    # did_imputation(data=castle, yname='l_homicide', gname='gvar', tname='year', idname='sid')
    "bjs_castle_static": (CASTLE, {}, {}),
    # the same with horizon=TRUE
    "bjs_castle_es": (CASTLE, {}, {"by": "dynamic"}),
    # the same with first_stage=~l_income+unemployrt|sid+year
    "bjs_castle_cov": (CASTLE, {}, {"covariates": ("l_income", "unemployrt")}),
    # did_imputation(mpdta, yname='lemp', gname='first.treat', tname='year', idname='countyreal')
    "bjs_mpdta_static": (("mpdta", "countyreal", "first.treat", ["lemp"]), {}, {}),
    # did_imputation(base_stagg, yname='y', gname='g', ..., first_stage=~x1|id+year)
    "bjs_stagg_static": (
        ("base_stagg", "id", "year_treated", ["y", "x1"]),
        {"never": [10000]},
        {"covariates": ("x1",)},
    ),
}


@pytest.mark.parametrize("case", list(GOLDEN))
def test_didimputation(shared_reference, case):
    """Estimates, errors and 1.96-intervals of didimputation 0.5.0; the call stands in GOLDEN.

    Leads come from fixest with its small-sample factor, (N − 1)/(N − K) G/(G − 1), where K counts
    leads and periods and not units: ours are CR0. Unit and period effects of the reference stop
    iterating about 1e-8 from the exact ones, so that estimates near zero are held to 1e-6 of an
    error.
    """
    source, design_options, options = GOLDEN[case]
    design = from_file(shared_reference, *source, **design_options)
    made = dk.Imputation(**options).fit(design, source[3][0])
    made = made.infer(dk.ClusterRobust("CR0", df="normal"))
    expected = reference(shared_reference, case)
    table = made.tidy()
    assert len(table) == len(expected)
    error = expected["std_error"].to_numpy(copy=True)
    before = (table["phase"] == "before").to_numpy()
    if before.any():
        sample = made.sample
        start = np.append(sample.starts, len(sample.periods))[sample.cohort]
        n = int((np.arange(len(sample.periods)) < start[:, None]).sum())
        k, g = before.sum() + len(sample.periods), len(sample.units)
        error[before] /= np.sqrt((n - 1) / (n - k) * g / (g - 1))
    off = np.abs(table["estimate"] - expected["estimate"])
    assert (off <= 1e-6 * np.maximum(np.abs(expected["estimate"]), error)).all()
    member = np.eye(len(made.sample.cluster_labels))[made.sample.clusters]
    own = np.sqrt(((member.T @ made.influence) ** 2).sum(axis=0))
    np.testing.assert_allclose(own, error, rtol=1e-7)
    # of a term that one pilot carries the package gives an error that does not hold the pilot's
    some = (table["n_pilots"] > 1).to_numpy()
    assert some.all() or case == "bjs_castle_es"
    np.testing.assert_allclose(table["std_error"], np.where(some, own, np.nan), rtol=1e-9)
    if not before.any():
        width = 1.96 / 1.959963984540054 * (table["conf_high"] - table["estimate"])
        low = (table["estimate"] - width)[some]
        np.testing.assert_allclose(low, expected["ci_lower"][some], atol=1e-6 * error.max())


def test_didimputation_weighted(shared_reference):
    """did_imputation(castle, ..., wname='popwt'): the same estimate, and another error on purpose.

    didimputation 0.5.0 multiplies the regressors by the weight on every side, so that what it
    squares are not the weights of its estimate: they do not reproduce it. Ours do. The package's
    number, 0.02135, follows from its formula; the paper's gives 0.02550.
    """
    design = from_file(shared_reference, *CASTLE)
    made = dk.Imputation(sampling="popwt").fit(design, "l_homicide")
    expected = reference(shared_reference, "bjs_castle_static_w").iloc[0]
    assert made.values[0] == pytest.approx(expected["estimate"], rel=1e-6)
    error = np.sqrt((made.influence**2).sum())
    assert error == pytest.approx(0.025500, rel=1e-4)
    y, w, d, start = by_cells(made.sample)
    np.testing.assert_allclose(made.weights[0][~np.isnan(y)] @ y[~np.isnan(y)], made.values[0])
    unit, period = np.indices(y.shape)
    z = np.concatenate(
        [np.eye(y.shape[0])[unit.ravel()], np.eye(y.shape[1])[period.ravel()]], axis=1
    )
    free, flat = ~d.ravel(), w.ravel()
    a = np.where(free, 0, flat) / flat[~free].sum()
    zw = z * flat[:, None]
    theirs = a - np.where(free, zw @ np.linalg.pinv(zw[free].T @ zw[free]) @ (zw.T @ a), 0)
    assert abs(theirs @ y.ravel() - made.values[0]) > 0.01
    assert conservative(y, d, start, theirs[None].reshape(1, *y.shape), gap_of(y, w, d)) == (
        pytest.approx(expected["std_error"], rel=1e-6)
    )


def by_cells(sample):
    """Give y, weights, treated cells and each unit's start (T: never)."""
    start = np.append(sample.starts, len(sample.periods))[sample.cohort]
    d = np.arange(len(sample.periods)) >= start[:, None]
    w = np.ones(sample.y.shape) if sample.w is None else sample.w
    return sample.y, w, d, start


def dummies(shape, x=None):
    unit, period = (i.ravel() for i in np.indices(shape))
    z = [np.eye(shape[0])[unit], np.eye(shape[1])[period]]
    return np.concatenate(z + ([] if x is None else [x.reshape(-1, 1)]), axis=1)


def gap_of(y, w, d, x=None):
    """Give y less its fit on the dummies of untreated cells, by lstsq."""
    z, flat, root = dummies(y.shape, x), y.ravel(), np.sqrt(w.ravel())
    free = ~d.ravel() & ~np.isnan(flat)
    beta = np.linalg.lstsq((z * root[:, None])[free], (flat * root)[free], rcond=None)[0]
    return (flat - z @ beta).reshape(y.shape)


def conservative(y, d, start, v, gap):
    """Give the paper's error of one term, from its weights, cell by cell."""
    total = 0.0
    for j in range(len(y)):
        score = 0.0
        for t in range(y.shape[1]):
            if np.isnan(y[j, t]):
                continue
            left = gap[j, t]
            if d[j, t]:
                same = (start == start[j]) & ~np.isnan(y[:, t])
                square = v[0, same, t] ** 2
                left -= (square @ gap[same, t]) / square.sum() if square.sum() > 0 else 0.0
            score += v[0, j, t] * left
        total += score**2
    return np.sqrt(total)


def with_columns(y, seed=3):
    """Give a design with gaps, a covariate and weights that change over time."""
    rng = np.random.default_rng(seed)
    frame = frame_of(y)
    x = rng.normal(size=y.shape)
    w = rng.uniform(0.5, 2.0, size=y.shape)
    frame["x"], frame["w"] = x.ravel(), w.ravel()
    ids = sorted(frame["la"].unique())
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m", "x", "w"])
    rollout = dk.Rollout({ids[j]: 2011 + t for j, t in STARTS.items()})
    return dk.Design(panel, rollout, against=dk.Pool(), selection="unknown"), x, w


@pytest.mark.parametrize("options", [{}, {"covariates": ("x",)}, {"sampling": "w"}], ids=str)
def test_the_paper_written_out_with_gaps(options):
    y = with_gaps(noise(N, T, 4), 5, whole=list(STARTS))
    y[3, 2], y[9, 6] = np.nan, np.nan
    design, x, w = with_columns(y)
    w = w if "sampling" in options else np.ones_like(y)
    made = dk.Imputation(**options).fit(design, "m")
    _, _, d, start = by_cells(made.sample)
    assert d.sum() == 15
    gap = gap_of(y, w, d, x if "covariates" in options else None)
    on = d & ~np.isnan(y)
    assert made.values[0] == pytest.approx(np.average(gap[on], weights=w[on]), rel=1e-10)
    np.testing.assert_allclose((made.weights[0] * np.nan_to_num(y)).sum(), made.values[0])
    error = np.sqrt((made.influence**2).sum())
    assert error == pytest.approx(conservative(y, d, start, made.weights, gap), rel=1e-9)
    if "covariates" in options:
        assert "coefficient_x" in made.glance().columns


def test_balanced_with_one_start_it_is_two_way():
    y = noise(N, T, 6)
    design = design_of(y, dict.fromkeys((2, 7, 11), 4))
    made, did = dk.Imputation().fit(design, "m"), dk.DiD().fit(design, "m")
    np.testing.assert_allclose(made.values, did.values, rtol=1e-10)
    np.testing.assert_allclose(made.weights, did.weights, atol=1e-12)


def test_terms_are_averages_of_each_other():
    design = design_of(noise(N, T, 7), STARTS)

    def fitted(**options):
        return dk.Imputation(**options).fit(design, "m")

    every = fitted(by="none")
    effect = every.values
    e = every.terms["event_time"].to_numpy()
    group, period = every.terms["group"].to_numpy(), every.terms["period"].to_numpy()
    n = np.array([{"2014": 2, "2016": 2, "2015": 1}[g] for g in group])
    assert fitted().values[0] == pytest.approx(np.average(effect, weights=n))
    assert fitted(aggregation="cohorts").values[0] == pytest.approx(effect.mean())
    for made, code, name in (
        (fitted(by="dynamic"), e, "event_time"),
        (fitted(by="group"), group, "group"),
        (fitted(by="calendar"), period, "period"),
    ):
        for row, value in zip(made.terms.to_dict("records"), made.values, strict=True):
            inside = code == row[name]
            assert value == pytest.approx(np.average(effect[inside], weights=n[inside]))
        assert fitted(by=made.estimator.by, overall=True).n_terms == 1
    dynamic = fitted(by="dynamic")
    whole = fitted(by="dynamic", overall=True)
    np.testing.assert_allclose(whole.values[0], dynamic.values.mean())
    np.testing.assert_allclose(whole.weights[0], dynamic.weights.mean(axis=0), atol=1e-12)


def test_balance_keeps_the_starts_that_are_seen_long_enough():
    design = design_of(noise(N, T, 7), STARTS)
    made = dk.Imputation(by="dynamic", balance=2).fit(design, "m")
    assert list(made.terms["event_time"]) == [0, 1, 2]
    assert list(made.terms["n_pilots"]) == [3, 3, 3]
    alone = dk.Imputation(by="dynamic", balance=3).fit(design, "m")
    assert list(alone.terms["n_pilots"]) == [2, 2, 2, 2]
    every = dk.Imputation(by="none").fit(design, "m")
    first = (every.terms["group"] == "2014").to_numpy()
    np.testing.assert_allclose(alone.values, every.values[first], rtol=1e-12)


def test_anticipated_periods_are_treated_and_in_no_average():
    y = noise(N, T, 8)
    moved = {j: t - 1 for j, t in STARTS.items()}
    made = dk.Imputation(by="none", anticipation=1).fit(design_of(y, STARTS), "m")
    earlier = dk.Imputation(by="none").fit(design_of(y, moved), "m")
    np.testing.assert_allclose(made.values, earlier.values, rtol=1e-9)
    assert set(made.terms["phase"]) == {"anticipation", "after"}
    simple = dk.Imputation(anticipation=1).fit(design_of(y, STARTS), "m")
    after = (made.terms["phase"] == "after").to_numpy()
    n = made.terms["n_pilots"].to_numpy()[after]
    assert simple.values[0] == pytest.approx(np.average(made.values[after], weights=n))


def test_leads_are_a_regression_on_untreated_cells():
    y = with_gaps(noise(N, T, 9), 10, whole=list(STARTS))
    design = design_of(y, STARTS)
    made = dk.Imputation(by="dynamic", pretrends=2).fit(design, "m")
    _, _, d, start = by_cells(made.sample)
    e = np.arange(T) - start[:, None]
    lead = np.stack([(e == k) & (start < T)[:, None] for k in (-2, -1)], axis=-1)
    z = np.concatenate([lead.reshape(-1, 2), dummies(y.shape)], axis=1)
    free = ~d.ravel() & ~np.isnan(y.ravel())
    rows, outcome = z[free], y.ravel()[free]
    beta = np.linalg.lstsq(rows, outcome, rcond=None)[0]
    np.testing.assert_allclose(made.values[:2], beta[:2], rtol=1e-9)
    assert list(made.terms["phase"][:3]) == ["before", "before", "after"]
    assert list(made.terms["term"][:2]) == ["event time -2", "event time -1"]
    left = outcome - rows @ beta
    unit = np.indices(y.shape)[0].ravel()[free]
    inverse = np.linalg.pinv(rows.T @ rows)[:2] @ rows.T
    scores = np.stack([(inverse * left)[:, unit == j].sum(axis=1) for j in range(N)])
    np.testing.assert_allclose(made.influence[:, :2], scores, atol=1e-10)
    plain = dk.Imputation(by="dynamic").fit(design, "m")
    np.testing.assert_array_equal(made.values[2:], plain.values)
    sure = made.infer(dk.ClusterRobust("CR0"))
    test = sure.joint(["event time -2", "event time -1"])
    expected = made.values[:2] @ np.linalg.solve(scores.T @ scores, made.values[:2])
    assert test.statistic in (pytest.approx(expected), pytest.approx(expected / 2))


def test_more_leads_than_periods_to_compare_with():
    design = design_of(noise(N, T, 9), dict.fromkeys((1, 4), 3))
    with pytest.raises(EstimationError, match="leads that can be told") as caught:
        dk.Imputation(pretrends=3).fit(design, "m")
    assert "fewer" in caught.value.todo
    with pytest.raises(EstimationError, match="for each lead a pilot"):
        dk.Imputation(pretrends=4).fit(design, "m")


def test_nobody_untreated_in_a_period_is_left_out_and_named():
    y = noise(6, 6, 11)
    starts = {0: 2, 1: 2, 2: 3, 3: 3, 4: 4, 5: 4}
    design = design_of(y, starts, against=dk.NotYetTreated())
    made = dk.Imputation(by="none").fit(design, "m")
    assert set(made.terms["period"]) == {"2013", "2014"}
    note = next(n for n in made.notes if "cannot be learnt" in n)
    assert note.startswith("12 (")
    log = made.sample.log
    assert log.loc[log["reason"] == "used", "cells"].sum() == made.sample.mask.sum() == 24
    assert log["cells"].sum() == 36
    d = np.arange(6) >= np.array([starts[j] for j in range(6)])[:, None]
    gap = gap_of(y, np.ones_like(y), d)
    values = dict(zip(made.terms["term"], made.values, strict=True))
    assert values["start 2013, period 2014"] == pytest.approx(gap[:2, 3].mean())
    assert values["start 2014, period 2014"] == pytest.approx(gap[2:4, 3].mean())


def test_groups_of_periods_that_no_unit_connects():
    """Unit effects from 2011-12 say nothing of a level in 2014-15, if nobody is seen in both."""
    y = noise(8, 4, 12)
    y[:4, 2:] = np.nan
    y[4:, :2] = np.nan
    y[0, 2] = 5.0  # a treated cell in a group of periods that its untreated cells are not in
    design = design_of(y, {0: 1, 4: 3})
    made = dk.Imputation(by="none").fit(design, "m")
    assert any(n.startswith("1 (301 in 2013) treated cells left out") for n in made.notes)
    assert list(made.terms["period"]) == ["2012", "2014"]
    own = y[0, 1] - y[0, 0] - (y[1:4, 1] - y[1:4, 0]).mean()
    assert made.values[0] == pytest.approx(own, rel=1e-10)


def test_a_pilot_without_an_untreated_cell_is_left_out_by_name():
    y = noise(N, T, 13)
    y[2, :3] = np.nan
    made = dk.Imputation().fit(design_of(y, STARTS), "m")
    assert len(made.sample.units) == N - 1
    assert any("no untreated cell" in n for n in made.sample.notes)
    rest = {j: t for j, t in STARTS.items() if j != 2}
    keep = [j for j in range(N) if j != 2]
    place = {j: i for i, j in enumerate(keep)}
    alone = dk.Imputation().fit(design_of(y[keep], {place[j]: t for j, t in rest.items()}), "m")
    np.testing.assert_allclose(made.values, alone.values, rtol=1e-12)


def test_nothing_that_can_be_learnt():
    y = noise(4, 4, 14)
    y[1:, 2:] = np.nan
    with pytest.raises(EstimationError, match="can be learnt"):
        dk.Imputation().fit(design_of(y, {0: 2}), "m")
    y = noise(4, 4, 14)
    y[0, :2] = np.nan
    with pytest.raises(DesignError):
        dk.Imputation().fit(design_of(y, {0: 2}), "m")


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("options", [{}, {"by": "dynamic", "pretrends": 1}], ids=str)
def test_many_assignments_are_refits(gaps, options):
    y = noise(N, T, 15)
    if gaps:
        y = with_gaps(y, 16, whole=range(N // 2), share=0.1)
        y[:, 0] = noise(N, T, 15)[:, 0]
    made = dk.Imputation(**options).fit(design_of(y, STARTS), "m")
    rng = np.random.default_rng(17)
    labels = rng.permuted(np.repeat(made.sample.cohort[None], 4, axis=0), axis=1)
    swapped = labels.copy()  # other numbers of pilots by start
    swapped[0, np.flatnonzero(labels[0] == 0)[0]] = 1
    for rows in (labels, swapped):
        draws = made.reassigned(rows.astype(np.int64))
        for i, row in enumerate(rows):
            starts = {j: made.sample.starts[g] for j, g in enumerate(row) if g >= 0}
            again = dk.Imputation(**options).fit(design_of(y, starts), "m")
            if list(again.terms["term"]) != list(made.terms["term"]):
                continue
            np.testing.assert_allclose(draws.b[i], again.values, rtol=1e-8)
            own = (again.influence**2).sum(axis=0)
            np.testing.assert_allclose(draws.v0[i], own, rtol=1e-7)
            acts = made.reassigned(made.sample.cohort[None].astype(np.int64)).a
            np.testing.assert_allclose(acts, 1.0)
            # a hypothesised effect of θ is θ taken out of the actual pilots' cells
            moved = y - 3.0 * treated(y.shape, STARTS)
            if not options:
                less = dk.Imputation().fit(design_of(moved, starts), "m")
                np.testing.assert_allclose(draws.b[i] - 3 * draws.a[i], less.values, rtol=1e-7)
                variance = draws.v0[i] - 6 * draws.v1[i] + 9 * draws.v2[i]
                np.testing.assert_allclose(variance, (less.influence**2).sum(axis=0), rtol=1e-6)


def test_a_covariate_that_is_collinear_is_refused_by_name():
    y = noise(N, T, 18)
    frame = frame_of(y)
    frame["x"] = frame["year"].astype(float)
    ids = sorted(frame["la"].unique())
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m", "x"])
    design = dk.Design(panel, dk.Rollout({ids[1]: 2014}), against=dk.Pool(), selection="unknown")
    with pytest.raises(EstimationError, match="period effects"):
        dk.Imputation(covariates=("x",)).fit(design, "m")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"by": "week"}, "by"),
        ({"balance": 1}, "balance"),
        ({"overall": True}, "overall"),
        ({"aggregation": "people"}, "aggregation"),
        ({"anticipation": -1}, "whole number of periods"),
        ({"pretrends": 1.5}, "whole number of leads"),
        ({"pretrends": 2, "by": "group"}, "pretrends"),
        ({"covariates": "x"}, "names of metrics"),
    ],
    ids=str,
)
def test_options_that_do_not_exist(options, said):
    with pytest.raises(EstimationError, match=said):
        dk.Imputation(**options)


def test_each_person_counts_once_by_name():
    frame = frame_of(noise(N, T, 19)).assign(people=lambda f: f["la"].astype(int) * 10)
    ids = sorted(frame["la"].unique())
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m", "people"])
    rollout = dk.Rollout({ids[2]: 2014, ids[7]: 2015})
    design = dk.Design(panel, rollout, against=dk.Pool(), selection="unknown")
    made = dk.Imputation(by="none", population="people").fit(design, "m")
    assert "each person counts once" in made.estimand
    whole = dk.Imputation(population="people").fit(design, "m")
    n = [int(ids[2])] * 4 + [int(ids[7])] * 3
    assert whole.values[0] == pytest.approx(np.average(made.values, weights=n))
