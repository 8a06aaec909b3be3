"""Checkpoints: what the stages of a run give, kept in a folder, so that a run can go on."""
