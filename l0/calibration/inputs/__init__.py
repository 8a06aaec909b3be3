"""Read and check the survey and the table of targets."""
