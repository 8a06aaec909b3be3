"""Frames, arrays and files, whatever they are for."""
