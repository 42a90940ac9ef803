"""Pictures: the only room that knows matplotlib.

Every function takes ``ax``, returns Axes and puts the frame behind the picture on it as
``ax.data``. None shows, saves, or touches pyplot's state: without ``ax`` a figure of its own is
made. In a notebook, end a cell with ``axes.figure`` to see it.
"""

from didkit.plot.bands import detectable_effect
from didkit.plot.before_trends import pre_trend_equivalence, pre_trend_power, trend_adjusted
from didkit.plot.breakdowns import breakdown
from didkit.plot.checks_together import all_checks
from didkit.plot.choices import choices_by_metric, other_comparators
from didkit.plot.contaminations import contamination
from didkit.plot.contrasts import contrast_study
from didkit.plot.decompositions import goodman_bacon, two_way_weights
from didkit.plot.dispatch import draw
from didkit.plot.dots import leave_one_out, placebo_start
from didkit.plot.driving import driving_cells
from didkit.plot.dumbbells import gap
from didkit.plot.estimators import comparison
from didkit.plot.events import event_study, pre_trends
from didkit.plot.forests import forest
from didkit.plot.functional_forms import functional_form
from didkit.plot.histogram import placebo_pilots
from didkit.plot.ladders import bounds
from didkit.plot.leverages import leverage
from didkit.plot.lines import trends
from didkit.plot.loves import love
from didkit.plot.matched_paths import matched
from didkit.plot.networks import neighbour_graph
from didkit.plot.overviews import overview
from didkit.plot.permutations import permutation
from didkit.plot.powers import power
from didkit.plot.records import other_denominator, without_breaks
from didkit.plot.regressions import regression_to_the_mean
from didkit.plot.removals import leave_two_out, smallest_removal
from didkit.plot.reuses import reuse
from didkit.plot.rollouts import rollout
from didkit.plot.sensitivities import sensitivity
from didkit.plot.specification_curves import specification_curve
from didkit.plot.splits import rate_split
from didkit.plot.statuses import missing
from didkit.plot.strips import long_differences
from didkit.plot.studies import study
from didkit.plot.synthetic import donor_weights, synthetic
from didkit.plot.terms import terms
from didkit.plot.unaffected import unaffected_outcomes

__all__ = [
    "all_checks",
    "bounds",
    "breakdown",
    "choices_by_metric",
    "comparison",
    "contamination",
    "contrast_study",
    "detectable_effect",
    "donor_weights",
    "draw",
    "driving_cells",
    "event_study",
    "forest",
    "functional_form",
    "gap",
    "goodman_bacon",
    "leave_one_out",
    "leave_two_out",
    "leverage",
    "long_differences",
    "love",
    "matched",
    "missing",
    "neighbour_graph",
    "other_comparators",
    "other_denominator",
    "overview",
    "permutation",
    "placebo_pilots",
    "placebo_start",
    "power",
    "pre_trend_equivalence",
    "pre_trend_power",
    "pre_trends",
    "rate_split",
    "regression_to_the_mean",
    "reuse",
    "rollout",
    "sensitivity",
    "smallest_removal",
    "specification_curve",
    "study",
    "synthetic",
    "terms",
    "trend_adjusted",
    "trends",
    "two_way_weights",
    "unaffected_outcomes",
    "without_breaks",
]
