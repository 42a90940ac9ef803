"""Published files → panel and neighbours: one table of rules a release."""

from didkit.read.dfe import read_dfe
from didkit.read.neighbours import read_neighbours
from didkit.read.rules import RELEASES

__all__ = ["RELEASES", "read_dfe", "read_neighbours"]
