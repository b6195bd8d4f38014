"""Play: what happens in a world? No game is named: its properties come in a `Game` record."""

from shadowbox.core.imports import make_callable

make_callable(__name__, "shadowbox.api:play")
