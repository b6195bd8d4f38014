"""Home page of the server: a match that plays by itself, three doors, and what this machine has."""
