"""Mutated replays, stores and checkpoints are read or refused: none escapes, hangs or takes memory.

`attack.py` beside this file runs larger counts.
"""

import pytest
from attack import LARGEST, attack

COUNTS = {"replays": 60, "stores": 24, "checkpoints": 12}


@pytest.mark.slow
@pytest.mark.parametrize("kind", COUNTS)
def test_mutated_files_are_read_or_refused(kind, tmp_path):
    """Every mutated file ends in data or in an error of the family, soon and within bounds."""
    found = attack(kind, COUNTS[kind], seed=7, folder=tmp_path)
    assert found["escaped"] == {}
    assert found["hung"] == {}
    assert sum(found["outcomes"].values()) == COUNTS[kind]
    assert found["outcomes"]["refused"] > COUNTS[kind] // 4, "the mutations are too mild"
    assert found["peak"] < LARGEST
