"""Pictures: the only room that knows matplotlib.

Every function takes ``ax``, returns Axes and puts the frame behind the picture on it as
``ax.data``. None shows, saves, or touches pyplot's state: without ``ax`` a figure of its own is
made. In a notebook, end a cell with ``axes.figure`` to see it.
"""

from didkit.plot.bands import detectable_effect
from didkit.plot.breakdowns import breakdown
from didkit.plot.choices import choices_by_metric, other_comparators
from didkit.plot.contaminations import contamination
from didkit.plot.contrasts import contrast_study
from didkit.plot.dispatch import draw
from didkit.plot.dots import leave_one_out, placebo_start
from didkit.plot.dumbbells import gap
from didkit.plot.events import event_study, pre_trends
from didkit.plot.forests import forest
from didkit.plot.histogram import placebo_pilots
from didkit.plot.leverages import leverage
from didkit.plot.lines import trends
from didkit.plot.loves import love
from didkit.plot.matched_paths import matched
from didkit.plot.networks import neighbour_graph
from didkit.plot.overviews import overview
from didkit.plot.permutations import permutation
from didkit.plot.powers import power
from didkit.plot.regressions import regression_to_the_mean
from didkit.plot.reuses import reuse
from didkit.plot.rollouts import rollout
from didkit.plot.statuses import missing
from didkit.plot.strips import long_differences
from didkit.plot.studies import study
from didkit.plot.synthetic import donor_weights, synthetic
from didkit.plot.terms import terms

__all__ = [
    "breakdown",
    "choices_by_metric",
    "contamination",
    "contrast_study",
    "detectable_effect",
    "donor_weights",
    "draw",
    "event_study",
    "forest",
    "gap",
    "leave_one_out",
    "leverage",
    "long_differences",
    "love",
    "matched",
    "missing",
    "neighbour_graph",
    "other_comparators",
    "overview",
    "permutation",
    "placebo_pilots",
    "placebo_start",
    "power",
    "pre_trends",
    "regression_to_the_mean",
    "reuse",
    "rollout",
    "study",
    "synthetic",
    "terms",
    "trends",
]
