"""How sure: one module a method, and the rule that recommends one."""

from didkit.inference.cluster import ClusterRobust
from didkit.inference.jackknife import Jackknife
from didkit.inference.permutation import Permutation
from didkit.inference.rule import Advice, recommend
from didkit.inference.table import inference_table

__all__ = ["Advice", "ClusterRobust", "Jackknife", "Permutation", "inference_table", "recommend"]
