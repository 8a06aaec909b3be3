"""The parts of ``benchmarks/device.py``, and what they share."""
