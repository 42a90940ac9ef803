"""Published files → panel and neighbours: one table of rules a release."""

from didkit.read.dfe import read_dfe
from didkit.read.general import read_ees_csv
from didkit.read.neighbours import read_neighbours
from didkit.read.releases import RELEASES

__all__ = ["RELEASES", "read_dfe", "read_ees_csv", "read_neighbours"]
