"""Scenes: pictures of matches as data, their motion, and a default for games without one."""
