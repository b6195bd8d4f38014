"""Training: how does the one loop run? No learner and no game is named in this room."""

from shadowbox.core.imports import make_callable

make_callable(__name__, "shadowbox.api:train")
