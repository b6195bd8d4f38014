"""Dynamics of a game as data: events, rules that derive fields, and the order of the rest."""
