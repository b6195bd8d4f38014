"""Pages for people: runs, cards, evaluations, matches."""
