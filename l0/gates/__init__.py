"""Gates over the rows or columns of data: learn which few to keep, and take exactly that many.

A gate whose logits are all equal has not been trained: it learns from the first data that it is
given. A gate whose logits were trained or loaded is used as it is: it takes the items that are most
probably open.

`__init__.pyi` lists the names. Each is imported when it is first used, so that a gate on columns
does not load what surveys need.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
