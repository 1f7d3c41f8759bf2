"""Runs in the trackers that people keep: docs/tracking.md.

Nothing here is used while a run trains: what is sent is read from its event files.
"""
