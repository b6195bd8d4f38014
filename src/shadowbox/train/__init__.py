"""Learning: one loop for everything that learns by gradient, and the learners that it runs.

No learner names a game.
"""
