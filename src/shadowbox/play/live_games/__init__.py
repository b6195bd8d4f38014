"""Matches in a game that runs outside of this program: agents beside people, and newer checkpoints."""
