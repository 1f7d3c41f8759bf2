"""From the world to tapes: rollouts, returns, statistics of experience."""
