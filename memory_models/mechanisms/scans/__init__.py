"""Scans over the steps of a sequence: of numbers, matrices, cells and writes."""
