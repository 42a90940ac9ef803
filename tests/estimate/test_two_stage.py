"""Two stages: another program's numbers, the moment conditions written out, and identities."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import design_of, frame_of, noise, with_gaps
from scipy import stats

import didkit as dk
from didkit.errors import EstimationError

N, T = 18, 7
STARTS = {2: 3, 5: 3, 9: 5, 14: 5, 16: 4}
CASTLE = ("castle", "sid", "gvar", ["l_homicide", "l_income", "unemployrt", "popwt"])
STATE = {"clusters": "state"}
STAGG = ("base_stagg", "id", "year_treated", ["y", "x1"])
X1 = {"covariates": ("x1",)}
GOLDEN = {
    # did2s(df_het, 'dep_var', ~0|unit+year, ~i(treat, ref=0), 'treat', cluster_var='state')
    "did2s_het_static": (("df_het", "unit", "g", ["dep_var"]), STATE, {}),
    # second_stage=~i(rel_year, ref=c(-1,Inf))
    "did2s_het_es": (("df_het", "unit", "g", ["dep_var"]), STATE, {"by": "dynamic"}),
    # cluster_var='unit'
    "did2s_hom_static_unit": (("df_hom", "unit", "g", ["dep_var"]), {}, {}),
    # weights='weight'
    "did2s_hom_static_w": (
        ("df_hom", "unit", "g", ["dep_var", "weight"]),
        STATE,
        {"sampling": "weight"},
    ),
    # did2s(castle, 'l_homicide', ~0|sid+year, ~i(post, ref=0), 'post', cluster_var='state')
    "did2s_castle_static": (CASTLE, {}, {}),
    # weights='popwt'
    "did2s_castle_static_w": (CASTLE, {}, {"sampling": "popwt"}),
    # first_stage=~l_income+unemployrt|sid+year
    "did2s_castle_cov": (CASTLE, {}, {"covariates": ("l_income", "unemployrt")}),
    # castle_did2s, whose post is year > effyear: the start is the year after
    "did2s_castlepkg_static_w": (
        ("castle_did2s", "state", "start", ["l_homicide", "popwt"]),
        {},
        {"sampling": "popwt"},
    ),
    # did2s(base_stagg, 'y', ~x1|id+year, ~i(D, ref=0), 'D', cluster_var='id')
    "did2s_stagg_static": (STAGG, {"never": [10000]}, X1),
    # second_stage=~i(rel, ref=Inf)
    "did2s_stagg_es": (STAGG, {"never": [10000]}, {**X1, "by": "dynamic", "reference": None}),
    # did2s(mpdta, 'lemp', ~0|countyreal+year, ~i(rel, ref=c(-1,Inf)), 'D', 'countyreal')
    "did2s_mpdta_es": (("mpdta", "countyreal", "first.treat", ["lemp"]), {}, {"by": "dynamic"}),
}


@pytest.mark.parametrize("case", list(GOLDEN))
def test_did2s(shared_reference, case):
    """Estimates, errors and intervals of did2s 1.2.1; the call stands in GOLDEN.

    Its intervals are t with N − k degrees of freedom, N rows and k dummies; ours normal or G − 1.
    Effects of the reference stop iterating about 1e-8 from the exact ones, so that estimates near
    zero are held to 1e-6 of an error.
    """
    (name, unit, start, metrics), design_options, options = GOLDEN[case]
    frame = pd.read_csv(shared_reference / "data" / f"{name}.csv")
    if name == "castle_did2s":
        frame["start"] = np.where(frame["effyear"] > 0, frame["effyear"] + 1, np.nan)
        frame.loc[frame["start"] > frame["year"].max(), "start"] = np.nan
        assert ((frame["year"] >= frame["start"]) == (frame["post"] == 1)).all()
    design = dk.Design.from_frame(
        frame,
        unit=unit,
        period="year",
        start=start,
        metrics=metrics,
        selection="unknown",
        **design_options,
    )
    made = dk.TwoStage(**options).fit(design, metrics[0])
    expected = pd.read_csv(shared_reference / "did2s_didimputation.csv")
    expected = expected[expected["case"] == case].reset_index(drop=True)
    assert made.n_terms == len(expected)
    error = expected["std_error"].to_numpy()
    value = expected["estimate"].to_numpy()
    assert (np.abs(made.values - value) <= 1e-6 * np.maximum(np.abs(value), error)).all()
    sure = made.infer(dk.ClusterRobust("CR0", df="normal")).attached
    some = np.isfinite(sure.std_error)
    member = np.eye(len(made.sample.cluster_labels))[made.sample.clusters]
    own = np.sqrt(((member.T @ made.influence) ** 2).sum(axis=0))
    np.testing.assert_allclose(own, error, rtol=1e-7)
    np.testing.assert_allclose(sure.std_error[some], own[some], rtol=1e-9)
    assert some.sum() > 0.5 * len(some)
    df = made.sample.mask.sum() - made.n_terms
    width = stats.t.ppf(0.975, df) * own
    np.testing.assert_allclose(made.values - width, expected["ci_lower"], atol=1e-6 * error.max())


def with_columns(y, starts=STARTS):
    rng = np.random.default_rng(3)
    frame = frame_of(y)
    x, w = rng.normal(size=y.shape), rng.uniform(0.5, 2.0, size=y.shape)
    frame["x"], frame["w"] = x.ravel(), w.ravel()
    ids = sorted(frame["la"].unique())
    panel = dk.Panel.from_frame(frame, unit="la", period="year", metrics=["m", "x", "w"])
    rollout = dk.Rollout({ids[j]: 2011 + t for j, t in starts.items()})
    return dk.Design(panel, rollout, against=dk.Pool(), selection="unknown"), x, w


@pytest.mark.parametrize("by", ["simple", "dynamic", "calendar", "group", "none"])
@pytest.mark.parametrize("used", [(), ("x",), ("w",), ("x", "w")], ids=str)
def test_the_two_regressions_written_out(by, used):
    y = with_gaps(noise(N, T, 4), 5, whole=list(STARTS))
    y[3, 2], y[9, 6] = np.nan, np.nan
    design, x, w = with_columns(y)
    covariates = ("x",) if "x" in used else ()
    sampling = "w" if "w" in used else None
    made = dk.TwoStage(by=by, covariates=covariates, sampling=sampling).fit(design, "m")
    start = np.array([STARTS.get(j, T) for j in range(N)])
    e = np.arange(T) - start[:, None]
    unit, period = (i.ravel() for i in np.indices(y.shape))
    seen = ~np.isnan(y.ravel())
    outcome, treated = y.ravel()[seen], (e >= 0).ravel()[seen]
    root = np.sqrt(w.ravel()[seen]) if "w" in used else np.ones(seen.sum())
    columns = [np.eye(N)[unit], np.eye(T)[period]]
    if "x" in used:
        columns.append(x.reshape(-1, 1))
    z = np.concatenate(columns, axis=1)[seen] * root[:, None]
    first = np.where(treated[:, None], 0.0, z)
    outcome = outcome * root
    gamma = np.linalg.lstsq(first, np.where(treated, 0, outcome), rcond=None)[0]
    left = outcome - z @ gamma
    second = []
    for row in made.terms.to_dict("records"):
        inside = np.ones(y.shape, dtype=bool) & (start < T)[:, None]
        if by == "dynamic":
            inside &= e == row["event_time"]
        else:
            inside &= e >= 0
        if by in ("group", "none"):
            inside &= (start == int(row["group"]) - 2011)[:, None]
        if by in ("calendar", "none"):
            inside &= np.arange(T) == int(row["period"]) - 2011
        second.append(inside.ravel()[seen] * root)
    d = np.stack(second, axis=1)
    beta = np.linalg.lstsq(d, left, rcond=None)[0]
    np.testing.assert_allclose(made.values, beta, rtol=1e-9, atol=1e-9)
    u1, u2 = np.where(treated, 0.0, left), left - d @ beta
    bread = np.linalg.inv(d.T @ d)
    carry = d.T @ z @ np.linalg.pinv(first.T @ first)
    scores = (d * u2[:, None] - (first @ carry.T) * u1[:, None]) @ bread
    by_unit = np.stack([scores[unit[seen] == j].sum(axis=0) for j in range(N)])
    np.testing.assert_allclose(made.influence, by_unit, atol=1e-9)
    np.testing.assert_allclose(
        np.einsum("kjt,jt->k", made.weights, np.nan_to_num(y)), made.values, atol=1e-9
    )


@pytest.mark.parametrize("options", [{}, {"covariates": ("x",)}, {"sampling": "w"}], ids=str)
def test_from_the_start_on_it_is_imputation(options):
    design, _, _ = with_columns(with_gaps(noise(N, T, 6), 7, whole=list(STARTS)))
    for by in ("simple", "dynamic", "group"):
        made = dk.TwoStage(by=by, **options).fit(design, "m")
        other = dk.Imputation(by=by, **options).fit(design, "m")
        after = (made.terms["phase"] == "after").to_numpy()
        np.testing.assert_allclose(made.values[after], other.values, rtol=1e-10)
        np.testing.assert_allclose(made.weights[after], other.weights, atol=1e-12)


def test_balanced_with_one_start_it_is_two_way():
    design = design_of(noise(N, T, 6), dict.fromkeys((2, 7, 11), 4))
    made, did = dk.TwoStage().fit(design, "m"), dk.DiD().fit(design, "m")
    np.testing.assert_allclose(made.values, did.values, rtol=1e-10)


def test_the_reference_has_no_dummy_and_its_own_row():
    design = design_of(noise(N, T, 8), STARTS)
    made = dk.TwoStage(by="dynamic").fit(design, "m")
    every = dk.TwoStage(by="dynamic", reference=None).fit(design, "m")
    assert -1 not in list(made.terms["event_time"])
    assert -1 in list(every.terms["event_time"])
    kept = (every.terms["event_time"] != -1).to_numpy()
    np.testing.assert_allclose(every.values[kept], made.values, rtol=1e-12)
    shown = made.infer(None).tidy()
    assert shown.loc[shown["term"] == "event time -1", "estimate"].item() == 0
    early = dk.TwoStage(by="dynamic", anticipation=1).fit(design, "m")
    assert list(early.reference["event_time"]) == [-2]
    assert "anticipation" in set(early.terms["phase"])


def test_anticipated_periods_are_in_no_average():
    y = noise(N, T, 9)
    moved = {j: t - 1 for j, t in STARTS.items()}
    every = dk.TwoStage(by="none").fit(design_of(y, moved), "m")
    made = dk.TwoStage(anticipation=1).fit(design_of(y, STARTS), "m")
    after = every.terms["event_time"].to_numpy() > 0
    n = every.terms["n_pilots"].to_numpy()[after]
    assert made.values[0] == pytest.approx(np.average(every.values[after], weights=n))


@pytest.mark.parametrize("gaps", [False, True])
def test_many_assignments_are_refits_and_leads_have_none(gaps):
    y = noise(N, T, 15)
    if gaps:
        y[17, 2] = np.nan
    made = dk.TwoStage(by="dynamic").fit(design_of(y, STARTS), "m")
    before = (made.terms["phase"] == "before").to_numpy()
    labels = np.random.default_rng(17).permuted(
        np.repeat(made.sample.cohort[None].astype(np.int64), 3, axis=0), axis=1
    )
    draws = made.reassigned(labels)
    assert np.isnan(draws.b[:, before]).all()
    assert any("no permutation test" in note for note in made.notes)
    for i, row in enumerate(labels):
        starts = {j: made.sample.starts[g] for j, g in enumerate(row) if g >= 0}
        again = dk.TwoStage(by="dynamic").fit(design_of(y, starts), "m")
        np.testing.assert_allclose(draws.b[i, ~before], again.values[~before], rtol=1e-8)
        own = (again.influence**2).sum(axis=0)
        np.testing.assert_allclose(draws.v0[i, ~before], own[~before], rtol=1e-7)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"by": "week"}, "by"),
        ({"reference": 0}, "reference before the start"),
        ({"reference": 1.5}, "reference before the start"),
        ({"anticipation": -1}, "whole number of periods"),
        ({"covariates": "x"}, "names of metrics"),
    ],
    ids=str,
)
def test_options_that_do_not_exist(options, said):
    with pytest.raises(EstimationError, match=said):
        dk.TwoStage(**options)
