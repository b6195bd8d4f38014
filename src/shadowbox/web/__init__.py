"""The browser's side: watch agents play, play against them, look at stored matches and at tournaments."""
