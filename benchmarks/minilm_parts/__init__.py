"""Parts of ``minilm.py``."""
