"""How far estimates vary: replicate weights, and statistics under them."""
