"""The calibration problem: matrix, totals, design weights, bounds and losses."""
