"""How well the dimensions of a code and the factors of the data match.

Everything is computed in float64 from ``codes (N, D)`` and ``factors (N, K)``, NumPy or torch, in any order and at any
frequency of the factors' values: no grid is needed. Mutual information and entropies are in nats.

Kinds of factors:

- A column of whole numbers is *categorical*, binary included, however many values it has. Its values are names: their
  order and frequency are free, and rare ones count by how often they occur.
- A column of other numbers is *continuous* if it has more distinct values than there are bins, and categorical if not.
  Where categories are needed, it is cut into bins of equal width, as the codes are. Whole numbers that count or measure
  something, such as an area in pixels, become continuous when divided by a constant.

Names of text have to be numbered first (``numpy.unique(names, return_inverse=True)``).

A constant code knows nothing: its mutual information, its correlation and its importance are 0. About a constant factor
there is nothing to know, its entropy is 0, and the scores, which would divide by it, refuse it.
"""

# Those with an underscore are the formulas themselves, which the chapter on measuring shows.
from ._shared import _is_categorical as _is_categorical
from .dci import DCIScore, dci
from .dci import _one_minus_entropy as _one_minus_entropy
from .fixed_factor import FixedFactorScore, beta_vae_metric, factor_vae_metric
from .information import MutualInformation, mutual_information_matrix
from .interpretability import InterpretabilityScore, interpretability
from .interpretability import _interpretability as _interpretability
from .mig import MIGScore, mig, mig_from_posterior, mig_hf, mig_knn, mig_of_angle, mig_p
from .mig import _mig as _mig
from .modularity import ModularityScore, modularity
from .modularity import _modularity as _modularity
from .report import DisentanglementReport, report
from .sap import SAPScore, sap
from .scc import SCCScore, scc
from .total_correlation import TotalCorrelationScore, total_correlation

__all__ = [
    "DCIScore",
    "DisentanglementReport",
    "FixedFactorScore",
    "InterpretabilityScore",
    "MIGScore",
    "ModularityScore",
    "MutualInformation",
    "SAPScore",
    "SCCScore",
    "TotalCorrelationScore",
    "beta_vae_metric",
    "dci",
    "factor_vae_metric",
    "interpretability",
    "mig",
    "mig_from_posterior",
    "mig_hf",
    "mig_knn",
    "mig_of_angle",
    "mig_p",
    "modularity",
    "mutual_information_matrix",
    "report",
    "sap",
    "scc",
    "total_correlation",
]
