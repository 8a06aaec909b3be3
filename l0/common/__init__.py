"""What every room uses: errors, checks, files, formatting."""
