"""Evaluate a result: its metrics and its untargeted statistics."""
