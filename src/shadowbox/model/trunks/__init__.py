"""Sequence models that turn a history of frames into features: window, GRU, transformer, Mamba-2."""
