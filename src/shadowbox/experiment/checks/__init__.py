"""Checks of a card: its inputs, facts, targets and rules, before anything runs."""
