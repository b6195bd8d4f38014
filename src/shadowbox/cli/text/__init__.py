"""Results of evaluations as text for a terminal."""
