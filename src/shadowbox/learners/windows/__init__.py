"""Imitation as older systems have it: windows of frames, of which the last one is the target."""
