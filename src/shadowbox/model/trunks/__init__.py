"""Sequence models: history in, features out."""
