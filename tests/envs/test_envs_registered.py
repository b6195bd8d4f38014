"""Gymnasium makes `shadowbox/Brawl-v0` after `import shadowbox` alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

MAKE = "gymnasium.make('shadowbox/Brawl-v0').reset(seed=1)"


def python(*lines):
    """Exit status and last line of standard error of a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]


@pytest.mark.parametrize(
    "imports",
    [
        ("import shadowbox", "import gymnasium"),
        ("import gymnasium", "import shadowbox"),
        (
            "import shadowbox",
            "from gymnasium.envs.registration import registry",
            "import gymnasium",
        ),
        ("import shadowbox.envs", "import gymnasium"),
        (
            "import importlib.util, shadowbox",
            "importlib.util.find_spec('gymnasium')",
            "import gymnasium",
        ),
    ],
)
def test_registered_in_any_order(imports):
    """Whichever is imported first, the environment is registered, once, and no trace of the hook is left."""
    rest = "import sys\nassert 'Gymnasium' not in str(sys.meta_path), sys.meta_path"
    assert python(*imports, MAKE, rest) == (0, "")


def test_shadowbox_alone_is_light():
    """`import shadowbox` imports neither Gymnasium nor NumPy nor anything else that takes time."""
    heavy = "{'gymnasium', 'numpy', 'torch', 'numba', 'click'}"
    assert python("import shadowbox, sys", f"assert not {heavy} & set(sys.modules)") == (0, "")


def test_a_missing_gymnasium_is_missing():
    """Without Gymnasium its import fails as ever, and `shadowbox.envs` says how to install it."""
    hidden = (
        "import sys, shadowbox",
        "class Hidden:",
        "    def find_spec(self, name, path, target=None):",
        "        if name == 'gymnasium': raise ModuleNotFoundError('hidden', name=name)",
        "sys.meta_path.insert(1, Hidden())",
    )
    status, line = python(*hidden, "import gymnasium")
    assert (status, line) == (1, "ModuleNotFoundError: hidden")
    status, line = python(*hidden, "import shadowbox.envs")
    assert status == 1
    assert "environments need Gymnasium: pip install" in line
    assert "[envs]" in line
