"""Reads, and nothing else: turns raw objects and engine answers into facts."""
