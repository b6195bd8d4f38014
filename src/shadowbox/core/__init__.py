"""Core types of a game and a match: fields, schemas, episodes, views and protocols; NumPy alone."""
