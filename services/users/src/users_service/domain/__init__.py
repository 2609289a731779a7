"""Frozen shapes and pure rules: no I/O, and no clock of its own."""
