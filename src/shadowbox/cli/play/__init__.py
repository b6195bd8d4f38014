"""`shadowbox play`: a game of others, live, with a policy in its loop."""
