"""The machinery under the models: scans, attention over caches, clocks, stores."""
