"""Least squares by cluster: CR0 to CR3, degrees of freedom, wild draws. Arrays only.

`Normal` holds each cluster's cross-products; every function takes one, and a matrix ``R`` whose
rows are the terms (linear combinations of the parameters).
"""

from didkit.linear.adjust import Kind
from didkit.linear.degrees import Hotelling, df_hotelling, df_satterthwaite, hotelling
from didkit.linear.deletion import delete_one, sole_identifier
from didkit.linear.leverage import effective_clusters, leverage, partial_leverage
from didkit.linear.normal import Normal
from didkit.linear.robust import Factor, cr0, cr1, cr2, cr3, cr3j, small_sample_factor
from didkit.linear.signs import Signs
from didkit.linear.wild import JointDraws, Parts, WildDraws, wild_draws, wild_joint

__all__ = [
    "Factor",
    "Hotelling",
    "JointDraws",
    "Kind",
    "Normal",
    "Parts",
    "Signs",
    "WildDraws",
    "cr0",
    "cr1",
    "cr2",
    "cr3",
    "cr3j",
    "delete_one",
    "df_hotelling",
    "df_satterthwaite",
    "effective_clusters",
    "hotelling",
    "leverage",
    "partial_leverage",
    "small_sample_factor",
    "sole_identifier",
    "wild_draws",
    "wild_joint",
]
