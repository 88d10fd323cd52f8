"""Writes, and nothing else: executes changes that `plan` decided."""
