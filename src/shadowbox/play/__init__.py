"""Play: what happens in a world? No game is named: its properties come in a `Game` record."""
