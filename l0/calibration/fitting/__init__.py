"""Weights of a fixed set of records."""
