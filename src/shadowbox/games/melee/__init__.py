"""Super Smash Bros. Melee, from Slippi replays."""
