"""The report of a result: one HTML file that loads no other file."""
