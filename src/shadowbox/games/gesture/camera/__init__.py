"""Cameras: pose and hands of a real person, found in a browser, or by MediaPipe in its own Python."""
