"""Conditions and statuses, computed: pure, from facts and the plan; written once by `apply`."""
