"""Search over settings: many runs, each chosen by what those before it came to.

`python -m agents.search` is the command; docs/search.md explains it.
"""
