"""The shortest scripts that do the same work, written by hand and as well as we can."""
