"""What encoders of an opponent's history know: of recorded players, and of opponents in play."""
