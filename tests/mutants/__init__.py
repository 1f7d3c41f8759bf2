"""Planted bugs, one at a time, each of which the tests named beside it must see."""
