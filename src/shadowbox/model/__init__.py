"""What fields mean to a model. Here torch begins; no game is named."""
