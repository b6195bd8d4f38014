"""Learners: what is learned? One file each, and a line in `registry.py`."""
