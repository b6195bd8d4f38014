"""Run cards: what does an experiment promise? The file, its fields, signatures and kill rules."""
