"""Shadowbox learns to play real-time games: from recordings, inside learned worlds, and against itself."""

__version__ = "0.1.0"
