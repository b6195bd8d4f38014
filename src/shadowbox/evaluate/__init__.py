"""Evaluation: is an agent any good? Every figure beside its baselines, with an interval."""

from shadowbox.core.imports import make_callable

make_callable(__name__, "shadowbox.api:evaluate")
