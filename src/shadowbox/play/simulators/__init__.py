"""Simulators of others as worlds: batched ones that save and restore single matches."""
