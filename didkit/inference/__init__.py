"""How sure: one module a method, and the rule that recommends one."""

from didkit.inference.bootstrap import Bootstrap
from didkit.inference.cluster import ClusterRobust
from didkit.inference.conformal import Conformal
from didkit.inference.conley_taber import ConleyTaber
from didkit.inference.conventional import Conventional
from didkit.inference.donald_lang import DonaldLang
from didkit.inference.ferman_pinto import FermanPinto
from didkit.inference.hagemann import Hagemann
from didkit.inference.ibragimov_muller import IbragimovMuller
from didkit.inference.jackknife import Jackknife
from didkit.inference.lau_li import LauLi
from didkit.inference.multiplicity import adjusted_p_values
from didkit.inference.permutation import Permutation
from didkit.inference.placebo_variance import PlaceboVariance
from didkit.inference.rule import Advice, recommend
from didkit.inference.sign_flips import SignFlips
from didkit.inference.table import inference_table
from didkit.inference.wild import WildBootstrap
from didkit.inference.wild_randomisation import WildRandomisation

__all__ = [
    "Advice",
    "Bootstrap",
    "ClusterRobust",
    "Conformal",
    "ConleyTaber",
    "Conventional",
    "DonaldLang",
    "FermanPinto",
    "Hagemann",
    "IbragimovMuller",
    "Jackknife",
    "LauLi",
    "Permutation",
    "PlaceboVariance",
    "SignFlips",
    "WildBootstrap",
    "WildRandomisation",
    "adjusted_p_values",
    "inference_table",
    "recommend",
]
