"""Evaluation of learned worlds, against recordings and the true simulator."""
