"""What a game is: fields, episodes, views, protocols. NumPy alone."""
