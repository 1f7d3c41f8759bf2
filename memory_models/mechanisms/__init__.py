"""The machinery under the models: scans, attention over caches, clocks, stores.

Imports point down: `stores` stand on `scans`, and both on the files beside them here.
"""
