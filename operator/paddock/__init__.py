"""Paddock: a Kubernetes operator for local LLMs."""
