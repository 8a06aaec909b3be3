"""Report what a model cost, and what it costs without its closed units."""
