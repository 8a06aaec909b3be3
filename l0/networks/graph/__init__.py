"""Find the units of a model: the channels that can only be removed together."""
