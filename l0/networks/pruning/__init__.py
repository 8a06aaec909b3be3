"""Choose the units to close, and remove them from a model."""
