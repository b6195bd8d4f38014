"""Dreams: matches in a learned world."""
