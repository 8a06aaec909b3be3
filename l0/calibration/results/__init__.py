"""What a calibration gives, on disk and on a page."""
