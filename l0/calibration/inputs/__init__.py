"""The survey and the table of targets, read and checked."""
