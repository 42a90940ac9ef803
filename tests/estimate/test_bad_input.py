"""Estimates that do not exist are refused, with the words that say why."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import codes, design_of, noise

from didkit.design import MatchedSets
from didkit.errors import DesignError, EstimationError, PanelError
from didkit.estimate import DiD, EventStudy, Gap

STARTS = {1: 3, 5: 3}
Y = noise(9, 6, 1)


def refused(call, *texts: str, kind: type[Exception] = EstimationError) -> None:
    with pytest.raises(kind) as caught:
        call()
    for text in texts:
        assert text in str(caught.value)
    for part in ("needed", "found", "where", "todo"):
        assert getattr(caught.value, part)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: DiD("balanced"), "cells='observed' or cells='complete'"),
        (lambda: EventStudy(cells="all"), "cells='observed' or cells='complete'"),
        (lambda: EventStudy(time="relative"), "time='event' or time='calendar'"),
        (lambda: EventStudy(reference=0), "event time 0 is the first treated period"),
        (lambda: EventStudy(reference=1), "a reference before the start"),
        (lambda: EventStudy(reference="2013"), "'2013'"),
        (lambda: EventStudy(reference=True), "True"),
        (lambda: Gap(by="year"), "by='window' or by='period'"),
    ],
)
def test_unknown_options(make, text):
    refused(make, text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: DiD(cell="observed"),
        lambda: EventStudy(anticipate=1),
        lambda: Gap(bootstrap=99),
        lambda: DiD().fit(design_of(Y, STARTS), "m", cluster="region"),
    ],
)
def test_an_unknown_keyword_is_a_type_error(make):
    with pytest.raises(TypeError):
        make()


def test_unknown_metric():
    for estimator in (DiD(), EventStudy(), Gap()):
        refused(
            lambda e=estimator: e.fit(design_of(Y, STARTS), "cin"),
            "choose one of: m",
            kind=PanelError,
        )


def test_reference_inside_the_post_period_or_outside_the_window():
    design = design_of(Y, STARTS, periods=(2012, 2016))
    for wrong in (2014, 2016, 2011):
        refused(
            lambda wrong=wrong: EventStudy(reference=wrong, time="calendar").fit(design, "m"),
            "before the first start (2014)",
            "choose one of: 2012, 2013",
        )
    refused(
        lambda: EventStudy(reference=1999, time="calendar").fit(design, "m"),
        "EventStudy(reference=)",
        kind=PanelError,
    )
    refused(
        lambda: EventStudy(reference=-3).fit(design, "m"),
        "3 periods before every start",
        "fewer before the start in 2014",
    )


def test_median_sets_need_complete_cells():
    ids = codes(9)
    against = MatchedSets({ids[j]: {ids[0]: 0.5, ids[2]: 0.5} for j in STARTS}, aggregate="median")
    design = design_of(Y, STARTS, against=against)
    for estimator in (DiD(), EventStudy()):
        refused(lambda e=estimator: e.fit(design, "m"), "write cells='complete'")


def test_pilots_without_a_value_before_are_refused():
    y = Y.copy()
    y[[1, 5], :3] = np.nan
    refused(
        lambda: DiD().fit(design_of(y, STARTS), "m"),
        "a pilot with a value of 'm' before its start",
        "2 (304 starts in 2014, 316 starts in 2014)",
        kind=DesignError,
    )
    refused(
        lambda: Gap().fit(design_of(y, STARTS), "m"),
        "a level to compare, not a change",
        "design.audit()",
        kind=DesignError,
    )


def test_comparators_that_end_before_the_start_are_refused():
    y = Y.copy()
    comparators = [j for j in range(9) if j not in STARTS]
    y[comparators, 3:] = np.nan
    refused(lambda: Gap().fit(design_of(y, STARTS), "m"), "at least one comparator", "gap_after")
    with pytest.raises((EstimationError, DesignError)):
        DiD().fit(design_of(y, STARTS), "m")


def test_no_unit_observed_throughout():
    y = Y.copy()
    y[0, 0] = y[2, 1] = y[3, 2] = y[4, 3] = y[6, 4] = y[7, 5] = y[8, 0] = np.nan
    refused(
        lambda: DiD("complete").fit(design_of(y, STARTS), "m"),
        "not observed in every period of the window",
        "use cells='observed'",
        kind=DesignError,
    )


def test_a_set_that_is_empty_without_the_units_with_gaps():
    ids = codes(9)
    y = Y.copy()
    y[0, 0] = np.nan
    against = MatchedSets({ids[1]: {ids[0]: 1.0}, ids[5]: {ids[2]: 1.0}})
    refused(
        lambda: DiD("complete").fit(design_of(y, STARTS, against=against), "m"),
        "a comparator for every pilot",
        f"1 ({ids[0]})",
        kind=DesignError,
    )


def test_weights_of_a_set_are_shared_out_when_a_comparator_has_gaps():
    ids = codes(9)
    y = Y.copy()
    y[0, 0] = np.nan
    weights = {ids[0]: 0.5, ids[2]: 0.3, ids[3]: 0.2}
    with_gap = DiD("complete").fit(
        design_of(y, {1: 3}, against=MatchedSets({ids[1]: weights})), "m"
    )
    without = DiD("complete").fit(
        design_of(Y, {1: 3}, against=MatchedSets({ids[1]: {ids[2]: 0.6, ids[3]: 0.4}})), "m"
    )
    assert with_gap.values[0] == pytest.approx(without.values[0])
