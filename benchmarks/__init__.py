"""How fast Meetlat is, beside the shortest script that does the same work. See docs/performance.md."""
