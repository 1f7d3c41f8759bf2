"""What the hand does: its actions, what it touches and presses, how scripts use it."""
