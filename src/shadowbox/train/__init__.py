"""Training: how does the one loop run? No learner and no game is named in this room."""
