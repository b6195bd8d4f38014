"""Figures of matches: what fighters did, for the tables of training runs and for evaluations."""
