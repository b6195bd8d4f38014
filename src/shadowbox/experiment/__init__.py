"""Experiments: what is done with a card? Check, estimate, run, evaluate, compare, close."""
