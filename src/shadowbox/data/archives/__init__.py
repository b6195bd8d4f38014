"""Archives and compressed recordings, which are never trusted: members one by one, within a budget."""
