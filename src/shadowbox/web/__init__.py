"""Server: what is watched and played in a browser? Matches, tournaments, runs and cards."""
