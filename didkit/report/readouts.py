"""The frames behind the pictures, read out in a sentence and laid out as tables for readers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from didkit.check.selected import ESTIMATORS
from didkit.report.numerals import equals, joined, plural, signed
from didkit.report.readout_heads import heads_of, only_drawn
from didkit.results.tables import number

__all__ = ["numbers", "readable"]

_BINS = 20
_ALIKE = 1e-9  # shares that differ by rounding only
_MOST_SAID = 5  # comparators by name, in a sentence
_CHOSEN = {
    "random": "at random",
    "latest_value": "by the last year before",
    "average": "by the mean of the years before",
    "permanent": "for a gap that lasts",
}
_MEASURED = {"level": "mean before", "last": "last value", "slope": "slope"}


# -- in a sentence -------------------------------------------------------------------------------


def numbers(kind: str, data: pd.DataFrame) -> str:
    """Read a frame out, for those who do not see the picture; long ones by what stands out.

    Parameters
    ----------
    kind : str
        Which picture.
    data : DataFrame
        The frame behind it.

    Examples
    --------
    >>> frame = pd.DataFrame({"when": ["before"], "pilots": [1.5], "comparators": [2.0]})
    >>> numbers("gap", frame)
    'before the start: pilots 1.50, comparators 2.00.'
    """
    maker = _SENTENCES.get(kind)
    parts = [] if maker is None else [part for part in maker(data) if part]
    return "; ".join(parts) + "." if parts else ""


def _gap(data: pd.DataFrame) -> list[str]:
    return [
        f"{row['when']} the start: pilots {number(row['pilots'])}, comparators "
        f"{number(row['comparators'])}"
        for row in data.to_dict("records")
    ]


def _trends(data: pd.DataFrame) -> list[str]:
    return [
        f"{row['period']}: pilots {number(row['pilots'])}, comparators {number(row['comparators'])}"
        for row in data.to_dict("records")
    ]


def _events(data: pd.DataFrame) -> list[str]:
    return [f"{row['term']}: {number(row['estimate'])}" for row in data.to_dict("records")]


def _overview(data: pd.DataFrame) -> list[str]:
    return [
        f"{row['label']}: gap {signed(row['gap_before'])} before, {signed(row['gap_after'])} after"
        for row in data.to_dict("records")
    ]


def _long_differences(data: pd.DataFrame) -> list[str]:
    parts = []
    for arm, mine in data.groupby("arm", sort=False):
        rows = mine.sort_values("value")
        low, high = rows.iloc[0], rows.iloc[-1]
        parts.append(
            f"{len(rows)} {arm}{'' if len(rows) == 1 else 's'}: mean "
            f"{signed(float(rows['value'].mean()))}, from {signed(low['value'])} ({low['name']}) "
            f"to {signed(high['value'])} ({high['name']})"
        )
    return parts


def _leave_one_out(data: pd.DataFrame) -> list[str]:
    rows = data[data["estimate"].notna()].sort_values("estimate")
    if rows.empty:
        return []
    low, high = rows.iloc[0], rows.iloc[-1]
    return [
        f"Lowest {signed(low['estimate'])} without {low['name']}",
        f"highest {signed(high['estimate'])} without {high['name']}",
    ]


def _breakdown(data: pd.DataFrame) -> list[str]:
    found = data[np.isfinite(data["value"])].to_dict("records")
    parts = [f"{row['name']}: {signed(row['value'])}" for row in found[:_MOST_SAID]]
    if len(found) > _MOST_SAID:
        parts.append(f"{len(found) - _MOST_SAID} more with larger shifts")
    lost = len(data) - len(found)
    if lost:
        parts.append(f"no shift found for {plural(lost, 'site')}")
    return parts


def _forest(data: pd.DataFrame) -> list[str]:
    parts = []
    for method, row in zip(_marked(data), data.to_dict("records"), strict=True):
        if row["refused"]:
            parts.append(f"{method}: refused, {row['refused']}")
            continue
        tested = f", p {equals(row['p_value'])}" if np.isfinite(row["p_value"]) else ""
        parts.append(
            f"{method}: {signed(row['estimate'])}, interval "
            f"{signed(row['conf_low'])} to {signed(row['conf_high'])}{tested}"
        )
    return parts


def _marked(data: pd.DataFrame) -> list[str]:
    """Name each method, and say which one is recommended and which one is used."""
    named = []
    for row in data.to_dict("records"):
        marks = [mark for mark in ("recommended", "used") if row.get(mark)]
        named.append(f"{row['method']} ({', '.join(marks)})" if marks else str(row["method"]))
    return named


def _permutation(data: pd.DataFrame) -> list[str]:
    return [f"{int(data['as_large'].sum()):,} of {len(data):,} draws are counted in p"]


def _leverage(data: pd.DataFrame) -> list[str]:
    return [f"{row['name']}: {row['share']:.1%}" for row in data.head(5).to_dict("records")]


def _missing(data: pd.DataFrame) -> list[str]:
    counts = data["status"].value_counts().sort_index()
    return ["Cells shown: " + ", ".join(f"{n:,} {status}" for status, n in counts.items())]


def _reuse(data: pd.DataFrame) -> list[str]:
    column = "pilots_served" if "pilots_served" in data.columns else data.columns[-1]
    counts = data[column].value_counts().sort_index(ascending=False)
    return [f"{n} serve{'s' if n == 1 else ''} {served}" for served, n in counts.items()]


def _regression(data: pd.DataFrame) -> list[str]:
    """Read the estimator in use out; the others stand in the table."""
    parts = []
    for row in data[data["estimator"] == "did"].to_dict("records"):
        most = row["rank"]
        more = f" ({signed(most)} had the most extreme been taken)" if np.isfinite(most) else ""
        parts.append(f"DiD, if chosen {_CHOSEN[row['selection']]}: {signed(row['bias'])}{more}")
    return parts


def _love(data: pd.DataFrame) -> list[str]:
    parts = []
    for row in data[data["shown"].astype(bool)].to_dict("records"):
        ends = {"the pool": row["smd_before"], "comparators": row["smd_after"]}
        said = [f"{signed(size)} from {whom}" for whom, size in ends.items() if np.isfinite(size)]
        named = ", ".join(filter(None, [row["label"], _MEASURED.get(row["kind"], "")]))
        parts.append(f"{named}: {', '.join(said)}")
    return parts


def _neighbour_graph(data: pd.DataFrame) -> list[str]:
    """Name those beside most pilots, and the pilots on lists of others."""
    each = data[data["kind"] == "serves"].drop_duplicates("other")
    shared = each[each["serves"] > 1].sort_values(["serves", "other"], ascending=[False, True])
    parts = [
        f"{row['other_name']} beside {row['serves']} pilots"
        for row in shared.head(_MOST_SAID).to_dict("records")
    ]
    if len(shared) > _MOST_SAID:
        parts.append(f"{len(shared) - _MOST_SAID} more beside two or more")
    barred = int((data["kind"] == "barred").sum())
    return [*parts, f"{plural(barred, 'place')} on lists held by pilots"] if barred else parts


def _rollout(data: pd.DataFrame) -> list[str]:
    """Say in each period who starts, who leaves and who takes the practice up outside."""
    found = {
        "start in": data["intention_to_treat"].astype(bool),
        "left by": data["state"] == "left",
        "use it outside the programme from": data["contaminated"].astype(bool),
    }
    parts = []
    for words, cells in found.items():
        for period, mine in data[cells].drop_duplicates("unit").groupby("period", sort=True):
            few = len(mine) <= _MOST_SAID
            who = joined(mine["name"].tolist()) if few else f"{len(mine)} authorities"
            parts.append(f"{words} {period}: {who}")
    return parts


_SENTENCES: dict[str, Callable[[pd.DataFrame], list[str]]] = {
    "overview": _overview,
    "gap": _gap,
    "trends": _trends,
    "events": _events,
    "long_differences": _long_differences,
    "leave_one_out": _leave_one_out,
    "breakdown": _breakdown,
    "forest": _forest,
    "permutation": _permutation,
    "leverage": _leverage,
    "missing": _missing,
    "reuse": _reuse,
    "regression_to_the_mean": _regression,
    "love": _love,
    "neighbour_graph": _neighbour_graph,
    "rollout": _rollout,
}


# -- as a table ----------------------------------------------------------------------------------


def readable(kind: str, data: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the frame behind a picture as a reader wants it, and the heads of its columns.

    Draws are counted in bins, cells without a value laid out by period, and units that are drawn
    together stand together; what only the drawing needs is left out, and so is a column without
    any value.
    """
    if kind == "permutation":
        return _binned(data), {}
    if kind == "missing":
        return _by_period(data), heads_of(kind, [])
    if kind == "leverage":
        return _heaviest(data), heads_of(kind, [])
    if kind == "neighbour_graph":
        return _by_pilot(data), {}
    if kind == "rollout":
        return _calendar(data), heads_of(kind, [])
    if kind == "reuse":
        data = _busiest(data)
    if kind == "regression_to_the_mean":
        data = data.assign(
            selection=data["selection"].map(_CHOSEN), estimator=data["estimator"].map(ESTIMATORS)
        )
    if kind == "love":
        data = _measured(data)
    shown = data.drop(columns=[n for n in only_drawn(kind) if n in data.columns])
    heads = heads_of(kind, [str(name) for name in shown.columns])
    if kind == "events":
        label = data["label"].str.replace("\n", ", ")
        if not label.str.contains(", ").any():  # starts differ: no period of its own
            heads["label"] = "Periods since start"
        shown = shown.drop(columns="label")
        shown.insert(0, "label", label)
    if kind == "breakdown":
        none = ~np.isfinite(data["value"])
        said = [signed(value) for value in data["value"]]
        shown = shown.assign(value=np.where(none, "none found", said))
        shown["in_sds"] = shown["in_sds"].astype(float).where(np.isfinite(shown["in_sds"]))
        heads["value"] = "Shift that changes the conclusion"
    if kind == "forest":
        shown = _methods(data)
    kept = [name for name in shown.columns if shown[name].notna().any()]
    kept = [name for name in kept if not (shown[name].astype(object) == "").all()]
    return shown[kept], heads


def _methods(data: pd.DataFrame) -> pd.DataFrame:
    """Lay methods out by what a reader asks of each; a refused one has its reason only."""
    drawn = data["drawn"].to_numpy(dtype=bool)
    ends = zip(data["conf_low"], data["conf_high"], strict=True)
    empty = pd.Series("", index=data.index)
    why = "no number: " + data["refused"].where(data["refused"] != "", "no estimate")
    return pd.DataFrame(
        {
            "method": _marked(data),
            "estimate": np.where(drawn, [signed(value) for value in data["estimate"]], ""),
            "interval": np.where(
                drawn, [f"{signed(low)} to {signed(high)}" for low, high in ends], ""
            ),
            "p_value": data["p_value"].to_numpy(),
            "assumes": np.where(drawn, data.get("assumes", empty), why),
            "size": np.where(drawn, data.get("size", empty), ""),
        }
    )


def _binned(data: pd.DataFrame) -> pd.DataFrame:
    """Count draws in bins: a table of ten thousand rows is read by nobody."""
    finite = data[np.isfinite(data["statistic"])]
    values = finite["statistic"].to_numpy(dtype=float)
    counts, edges = np.histogram(values, bins=_BINS)
    large, _ = np.histogram(values[finite["as_large"].to_numpy(dtype=bool)], bins=edges)
    made = pd.DataFrame(
        {
            "Statistic from": edges[:-1],
            "to": edges[1:],
            "Draws": counts.astype(int),
            "of these counted in p": large.astype(int),
        }
    )
    return made.astype(object)


def _by_period(data: pd.DataFrame) -> pd.DataFrame:
    """Lay out, a row a unit and a column a period, what is not observed; the rest stays blank."""
    lacking = data[data["status"] != "observed"]
    periods = list(dict.fromkeys(data["period"]))
    wide = lacking.pivot(index=["unit", "name"], columns="period", values="status")
    units = pd.MultiIndex.from_frame(lacking[["unit", "name"]].drop_duplicates())
    laid = wide.reindex(index=units, columns=periods).astype(object)  # a full period is all NaN
    return laid.fillna("").reset_index()


def _by_pilot(data: pd.DataFrame) -> pd.DataFrame:
    """One row a pilot: who stands beside it, with weights where they differ, and who may not."""
    serves = data["kind"] == "serves"
    weights = data.loc[serves, "weight"].groupby(data["pilot"])
    uneven = (weights.max() - weights.min()).max() > _ALIKE
    rows = []
    for _, mine in data.groupby("pilot", sort=True):
        beside = mine[mine["kind"] == "serves"].sort_values(
            ["weight", "other"], ascending=[False, True]
        )
        barred = mine[mine["kind"] == "barred"].sort_values("other")
        names = [
            f"{row['other_name']} ({row['weight']:.0%})" if uneven else row["other_name"]
            for row in beside.to_dict("records")
        ]
        rows.append(
            {
                "Pilot": mine["pilot_name"].iloc[0],
                "Comparators beside it": ", ".join(names),
                "Pilots on its list, who may not serve": ", ".join(barred["other_name"]),
            }
        )
    made = pd.DataFrame(rows)
    return made.loc[:, (made != "").any()] if len(made) else made


def _calendar(data: pd.DataFrame) -> pd.DataFrame:
    """Lay out, a row a unit and a column a period, who was treated; what is untreated is blank."""
    mine = data[data["shown"].astype(bool)]
    said = mine["state"].where(mine["state"] != "untreated", "")
    dosed = (mine["dose"] > 0) & (said != "")
    if mine.loc[dosed, "dose"].nunique() > 1:
        said = said.where(~dosed, said + " (" + mine["dose"].map(number) + ")")
    units = pd.MultiIndex.from_frame(mine[["unit", "name"]].drop_duplicates())
    wide = mine.assign(said=said).pivot(index=["unit", "name"], columns="period", values="said")
    return wide.reindex(index=units, columns=list(dict.fromkeys(mine["period"]))).reset_index()


def _measured(data: pd.DataFrame) -> pd.DataFrame:
    """Put the measure first, and take its short name out of what was looked at."""
    spans = [
        str(row["covariate"]).removeprefix(str(row["metric"])).strip()
        for row in data.to_dict("records")
    ]
    last = data["kind"] == "last"
    named = data.assign(
        covariate=[
            f"last value, {s}" if is_last else s for s, is_last in zip(spans, last, strict=True)
        ]
    )
    return named[["label", *(name for name in named.columns if name != "label")]]


def _busiest(data: pd.DataFrame) -> pd.DataFrame:
    """Keep the comparators that are drawn, and the mean of the others."""
    drawn = data["shown"].astype(bool)
    rest = data[~drawn]
    if rest.empty or not drawn.any():
        return data
    numbers = rest.drop(columns="shown").select_dtypes("number").mean().to_dict()
    others = {"unit": "", "name": f"{len(rest)} others, mean", **numbers}
    return pd.concat([data[drawn].astype(object), pd.DataFrame([others])], ignore_index=True)


def _heaviest(data: pd.DataFrame) -> pd.DataFrame:
    """Keep the units that are drawn one by one, and the mean of the others."""
    rest = data[~data["shown"].astype(bool)]
    shown = data[data["shown"].astype(bool)][["name", "arm", "share"]]
    if rest.empty:
        return shown
    others = {"name": f"{len(rest)} others, mean", "arm": "", "share": float(rest["share"].mean())}
    return pd.concat([shown, pd.DataFrame([others])], ignore_index=True)
