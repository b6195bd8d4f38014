"""Pre-training of an encoder of the opponent's history on recordings."""
