"""Decisions: pure functions from facts to wanted objects; never awaits, never logs."""
