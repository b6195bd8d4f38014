"""Checks of a training run: the files that it wrote, and the known problems that they show."""
