"""Pictures: the only room that knows matplotlib.

Every function takes ``ax``, returns Axes and puts the frame behind the picture on it as
``ax.data``. None shows, saves, or touches pyplot's state: without ``ax`` a figure of its own is
made. In a notebook, end a cell with ``axes.figure`` to see it.
"""

from didkit.plot.bands import detectable_effect
from didkit.plot.dispatch import draw
from didkit.plot.dots import leave_one_out, placebo_start
from didkit.plot.dumbbells import gap
from didkit.plot.events import event_study, pre_trends
from didkit.plot.histogram import placebo_pilots
from didkit.plot.lines import trends
from didkit.plot.overviews import overview

__all__ = [
    "detectable_effect",
    "draw",
    "event_study",
    "gap",
    "leave_one_out",
    "overview",
    "placebo_pilots",
    "placebo_start",
    "pre_trends",
    "trends",
]
