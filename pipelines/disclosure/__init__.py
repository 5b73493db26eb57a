"""What may be shown, and to whom.

`rules` reads `raw/reference/disclosure.yml`, `cells` says which cells may not be shown for their own sake,
`bounds` tells how closely a hidden cell can be reckoned from the others, `hiding` hides more until that is not
close enough, `standing` keeps published figures as they are until enough answers changed, and `outputs` writes
what leaves the house. `pipelines/audit.py` checks it all from the outside and shares no code with this package.
"""
