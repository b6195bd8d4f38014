"""What can be known before a run: a rehearsal on generated data, and a prediction by a scaling law."""
