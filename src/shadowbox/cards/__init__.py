"""Run cards: what an experiment promises."""
