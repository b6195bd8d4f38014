"""Migration of cards, runs and checkpoints of earlier versions."""
