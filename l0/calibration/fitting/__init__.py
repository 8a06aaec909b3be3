"""Fit the weights of a fixed set of records."""
