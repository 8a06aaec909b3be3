"""Read and convert frames, arrays and files."""
