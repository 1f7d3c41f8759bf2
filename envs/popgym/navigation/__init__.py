"""Labyrinths: POPGym's navigation tasks."""
