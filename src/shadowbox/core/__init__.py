"""Core types: what is a game, and what is a match of it? Fields, episodes, views, protocols; NumPy alone."""
