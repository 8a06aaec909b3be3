"""What is to be solved: matrix, totals, weights, bounds and losses."""
