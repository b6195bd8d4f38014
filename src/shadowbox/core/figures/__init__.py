"""Figures that a game declares: counts of recorded or played rows, and functions of their sums."""
