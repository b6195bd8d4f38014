"""Models: what do fields mean to a network? Torch begins in this room; no game is named."""
