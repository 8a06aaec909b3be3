"""How far estimates vary: statistics of weights, under the weights and under their replicates."""
