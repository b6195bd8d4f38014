"""Install hints: the command in an error installs the missing part, in a clone and elsewhere."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

import shadowbox
from shadowbox import errors
from shadowbox.errors import checkout, install_hint
from shadowbox.train import sinks

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]


def called(name):
    """The constant arguments that the package calls a function with."""
    for path in Path(shadowbox.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
                yield from (part.value for part in node.args if isinstance(part, ast.Constant))


@pytest.mark.parametrize("extra", EXTRAS)
def test_in_a_clone_and_outside(monkeypatch, tmp_path, extra):
    """A clone is installed from its own folder; outside of one the package is named."""
    assert checkout() == ROOT
    assert install_hint(extra) == f'pip install -e "{ROOT}[{extra}]"'
    monkeypatch.setattr(errors, "__file__", str(tmp_path / "site-packages/shadowbox/errors.py"))
    assert checkout() is None
    assert install_hint(extra) == f'pip install "shadowbox[{extra}]"'


def test_every_hint_names_an_extra():
    """Extras that messages ask for are declared, and no message has a command of its own."""
    named = {*called("install_hint"), *sinks.MODULES}
    assert {"envs", "pictures", "arrow", "live", "wandb", "tensorboard"} <= named <= set(EXTRAS)
    for path in Path(shadowbox.__file__).parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert path.name == "errors.py" or not re.search(r"pip install|make (setup|test)\b", text)
