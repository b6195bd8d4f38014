"""Live games of Melee: the world on a console, its menus, Slippi's launcher, and a fake Dolphin."""
