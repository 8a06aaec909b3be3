"""Survey calibration: from records and published totals to exactly k weighted records."""

import lazy_loader

# Names are loaded on first use: `__init__.pyi` is the list.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
