"""What changed between two releases, cell by cell, and why.

`record` notes in every release what went into it, `cells` finds what is published otherwise, `reach` says which cells
each cause can have moved, and `compare` brings the two together. Nothing here makes or changes a figure.
"""
