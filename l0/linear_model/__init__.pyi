from .classifier import L0Classifier as L0Classifier
from .cox import L0Cox as L0Cox
from .next_best import Alternatives as Alternatives
from .next_best import alternatives as alternatives
from .regressor import L0Regressor as L0Regressor
from .selector import L0Selector as L0Selector
from .stability import StabilitySelection as StabilitySelection
from .stability import stability_selection as stability_selection
