"""Gates over the rows or columns of data: learn which few to keep, and take exactly so many.

A gate that nobody trained (its logits are all equal) learns from the data it is first given. One
whose logits were trained or loaded is used as it stands: the items most probably open are taken.
"""

from l0.gates.base import L0Gate
from l0.gates.feature import FeatureGate
from l0.gates.hybrid import HybridGate
from l0.gates.sample import SampleGate

__all__ = ["FeatureGate", "HybridGate", "L0Gate", "SampleGate"]
