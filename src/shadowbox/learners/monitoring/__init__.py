"""Monitoring of self-play: sums over matches in progress, and rows of the tables of a run."""
