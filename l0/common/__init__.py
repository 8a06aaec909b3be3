"""What all rooms use: errors, validation, files, formatting."""
