"""A gate on each column of a sparse matrix: the models of l0-python 0.6."""
