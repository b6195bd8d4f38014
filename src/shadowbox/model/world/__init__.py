"""Learned worlds: a trunk over frames, and a chain of heads that draws the next frame."""
