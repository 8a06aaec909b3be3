"""Variances by replicate weights: how they are made, and what they give. It works on arrays."""
