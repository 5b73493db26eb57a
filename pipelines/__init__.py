"""Meetlat: survey exports in, benchmark datasets out. Importing the package does nothing."""
