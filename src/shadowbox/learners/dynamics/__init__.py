"""Learning of worlds: what happens next, given a state and both players' controls."""
