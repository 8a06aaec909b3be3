"""Time the layers of a model at several widths."""
