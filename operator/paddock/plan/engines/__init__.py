"""Engine profiles: one file each, one registry line each in `registry`."""
