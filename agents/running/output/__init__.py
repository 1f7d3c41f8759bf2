"""What a run tells: its plan, its progress, its results."""
