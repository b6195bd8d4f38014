"""Evaluation: is an agent any good? Every figure beside its baselines, with an interval."""
