"""The `paddock` command, also `kubectl paddock`: prints, and exits with a documented code."""
