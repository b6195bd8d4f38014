"""Questions: who plays, in which world, and what came of it."""
