"""Agents meet in worlds. No game is named here: what is needed comes in a Game record."""
