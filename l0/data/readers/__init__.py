"""Readers of files: one a kind of file, found by its suffix."""
