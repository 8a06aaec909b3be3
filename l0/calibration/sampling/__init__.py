"""Probability designs, and the orders that stratify them."""
