"""Probability designs, and orders that stratify them."""
