"""Files outside its own that a new learner, a new kind of checkpoint or a new command touches.

Each test patches a copy of the package, runs it, and counts the files that the patch changed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from one_process import objects

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "shadowbox"
BANDITS = (ROOT / "tests" / "bandits.py").read_text()
CARD = """---
card: 1
id: arms
goal: a built-in learner that needs a world runs from a card
game: brawl
learner: bandit
preset: even
set: {train: {steps: 4, batch: 2, log_every: 2, device: cpu, score: play/reward}}
world: brawl@time_limit=60
opponents: [constant]
reward: sparse
targets: [{metric: play/reward, op: ">", value: -1000.0, primary: true}]
---
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(tmp_path):
    """The package, to be patched."""
    target = tmp_path / "src" / "shadowbox"
    shutil.copytree(SOURCE, target)  # with what is compiled
    return target


def patch(copy, name, old, new):
    """Replace a line of a file that is there."""
    text = (copy / name).read_text()
    assert text.count(old) == 1, f"{name}: {old!r} is there {text.count(old)} times"
    (copy / name).write_text(text.replace(old, new))


def changed(copy):
    """The files of the package that differ, and those that are new."""
    files = {str(path.relative_to(copy)) for path in copy.rglob("*.py")}
    old = {name for name in files if (SOURCE / name).exists()}
    return {
        name for name in old if (copy / name).read_bytes() != (SOURCE / name).read_bytes()
    }, files - old


def call(copy, folder, *lines):
    """The objects that commands of the patched package print."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(copy.parent)}
    return objects(folder, environment, *(line.split() for line in lines))


def add_learner(copy):
    """A learner that needs a world: its file, and a line of the registry."""
    text = BANDITS.replace('"bandits:', '"shadowbox.learners.bandit:')
    (copy / "learners" / "bandit.py").write_text(text)
    line = '    "imitation": "shadowbox.learners.imitation_spec:SPEC",\n'
    more = line + '    "bandit": "shadowbox.learners.bandit:SPEC",\n'
    patch(copy, "learners/registry.py", line, more)


def add_kind(copy):
    """A kind of checkpoint: an entry of the registry that names its parts."""
    names = ("build", "agent", "evaluate", "page", "report")
    parts = ", ".join(f'{name}="shadowbox.learners.bandit:{name}"' for name in names)
    entry = f'CheckpointKind(name="bandit", {parts}, needs=frozenset())'
    line = 'KINDS: dict[str, CheckpointKind] = {"policy": POLICY, "encoder": ENCODER, "world": WORLD}\n'
    patch(copy, "model/kinds.py", line, line.replace("WORLD}", f'WORLD, "bandit": {entry}}}'))


def test_a_learner_and_a_kind_of_checkpoint(copy, tmp_path):
    """Each touches one file beside the docs: a line of its registry. A card runs, and eval finds it."""
    add_learner(copy)
    assert changed(copy) == ({"learners/registry.py"}, {"learners/bandit.py"})
    add_kind(copy)
    assert changed(copy)[0] == {"learners/registry.py", "model/kinds.py"}
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "arms.md").write_text(CARD)
    ran, evaluated, _ = call(
        copy, tmp_path, "run arms", "eval runs/arms", "report runs/arms --no-match"
    )
    assert (ran["verdict"], evaluated["kind"]) == ("passed", "bandit")
    assert "What the bandit learnt" in (tmp_path / "runs" / "arms" / "report.html").read_text()


def test_a_command_touches_one_file_beside_the_docs(copy, tmp_path):
    """Its file and a line of the table, and it is called and listed."""
    (copy / "cli" / "hello.py").write_text(
        '"""`shadowbox hello`: a greeting."""\n\nimport click\n\n'
        "from shadowbox.cli.terminal import emit, json_option\n\n\n"
        "@click.command()\n@json_option\ndef hello(as_json: bool) -> None:\n"
        '    """Say hello."""\n    emit({"hello": as_json})\n'
    )
    line = '    "games": ('
    more = '    "hello": ("shadowbox.cli.hello:hello", "A greeting."),\n'
    patch(copy, "cli/__init__.py", line, more + line)
    assert changed(copy) == ({"cli/__init__.py"}, {"cli/hello.py"})
    assert call(copy, tmp_path, "hello") == [{"hello": True}]
