"""Kill rules: their grammar, their conditions, and when they fire."""
