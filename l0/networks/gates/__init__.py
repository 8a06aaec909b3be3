"""Gates on units: the families, and how a gate acts on the weights of a model."""
