from .base import L0Gate as L0Gate
from .feature import FeatureGate as FeatureGate
from .hybrid import HybridGate as HybridGate
from .sample import SampleGate as SampleGate
