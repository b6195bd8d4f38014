"""Completion of names in bash, zsh and fish: games, agents, presets, runs, cards, episodes."""
