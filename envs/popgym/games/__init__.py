"""Card and board games: POPGym's game tasks."""
