"""Commands of the hub: `push` and `pull`."""
