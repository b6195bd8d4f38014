"""Files for the Warehouse Brawl tournament: equal to the policy inside, fast, and NumPy alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from shadowbox.errors import UsageError
from shadowbox.export.submission import require_exportable, submission_module, submission_text
from shadowbox.export.warehouse import check_submission, load_submission, play_submission
from shadowbox.games import load
from shadowbox.model.design import PolicyConfig
from shadowbox.model.policy import Policy
from shadowbox.play.observations import Actions
from shadowbox.play.policy_agent import PolicyAgent

GAME = load("brawl")
WHOLE = (torch.uint8, torch.uint16, torch.uint32)  # types of stored choices
SHOWN = GAME.encodings["warehouse"]
SMALL = {"head": "categorical", "width": 24, "head_width": 24, "value": True, "repeat": 4}
TRUNKS = {
    "window": {"trunk": "window", "frames": 3, "depth": 2, "relative_positions": True},
    "gru": {"trunk": "gru", "hidden_width": 16, "layers": 2, "depth": 2},
    "lstm": {"trunk": "lstm", "hidden_width": 16, "prev_control_dropout": 0.1},
    "plain lstm": {"trunk": "lstm", "hidden_width": 16, "plain": True, "repeat": 1},
}


def policy_of(columns=SHOWN, **changes):
    """A policy with random weights, far from uniform."""
    config = PolicyConfig.of({**SMALL, "opponent_controls": False, **changes})
    torch.manual_seed(0)
    policy = Policy(GAME.schema, columns, config).eval()
    if config.head.head == "categorical":
        torch.nn.init.normal_(policy.head.linear.weight, std=0.5)
    return policy


def written(tmp_path, policy):
    """The policy's file."""
    module = submission_module(GAME, "warehouse")
    require_exportable(policy, module, "policy:x")
    path = tmp_path / "agent.py"
    path.write_text(submission_text(module, policy, 1.0), encoding="utf-8")
    return path


@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_file_gives_the_logits_of_its_policy(trunk, tmp_path):
    """On recorded and on random observations every logit is that of PyTorch, within 1e-4."""
    policy = policy_of(**TRUNKS[trunk])
    path = written(tmp_path, policy)
    facts = check_submission(policy, path, GAME, "based", "brawl@rules=original", 400)
    for name in ("recorded", "random"):
        assert facts[name]["decisions"] >= 400 // policy.config.repeat
        assert facts[name]["equal"], facts
    assert facts["p99_ms"] < 10  # of a shared machine; the limit of an idle one is 2


def test_a_file_imports_numpy_alone(tmp_path):
    """Nothing but NumPy and the standard library is imported, and ten floats come out."""
    written(tmp_path, policy_of(**TRUNKS["gru"]))
    code = (
        "import sys, json; sys.path[:0] = sys.argv[1:]; import numpy, numpy.random, zipfile\n"
        "known = set(sys.modules) | set(sys.stdlib_module_names)\n"
        "import agent; keys = agent.SubmittedAgent().predict(numpy.zeros(64))\n"
        "more = {n for n in sys.modules if n.partition('.')[0] not in known | {'numpy', 'agent'}}\n"
        "print(json.dumps([sorted(more), keys.dtype.name, keys.shape]))"
    )
    call = [sys.executable, "-I", "-c", code, str(tmp_path), str(Path(np.__file__).parents[1])]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], "float32", [10]]


def test_an_agent_forgets_when_a_match_begins(tmp_path):
    """Stocks that come back say that another match has begun: it is played as the first was."""
    agent = load_submission(written(tmp_path, policy_of(**TRUNKS["gru"])))()
    seen = np.random.default_rng(1).random((40, 64))
    seen[:, [13, 45]] = np.where(np.arange(40) < 20, 3, 2)[:, None]
    first = [agent.predict(row) for row in seen]
    assert np.array_equal(first, [agent.predict(row) for row in seen])
    with pytest.raises(ValueError, match="an observation has 64 numbers"):
        agent.predict(np.zeros(63))


def test_a_policy_that_reads_more_is_refused_with_its_columns():
    """Missing columns are named, and so are the opponent's keys and parts that NumPy lacks."""
    module = submission_module(GAME, "warehouse")
    for changes, words in (
        ({"columns": GAME.encodings["default"]}, "player/dodge_cooldown.*encoding=warehouse"),
        ({"opponent_controls": True}, "the opponent's keys"),
        ({"trunk": "transformer"}, "the trunk 'transformer'"),
        ({"head": "chain"}, "the head 'chain'"),
    ):
        with pytest.raises(UsageError, match=words):
            require_exportable(policy_of(**changes), module, "policy:x")


def test_a_policy_without_the_opponents_keys_never_reads_them():
    """Whatever the opponent presses, such a policy gives the same logits."""
    policy = policy_of(**TRUNKS["window"])
    world = GAME.world(1)
    view = {k: torch.from_numpy(np.array(v)) for k, v in world.reset(np.arange(1)).items()}
    view |= {k: v.long() for k, v in view.items() if v.dtype in WHOLE}
    outs = []
    for pressed in (False, True):
        for key in GAME.schema.control_keys:
            view[key] = torch.tensor([[False, pressed]])
        memory, reset = policy.initial(1), torch.ones(1, 1, dtype=torch.bool)
        shown = {key: values[:, None] for key, values in view.items()}
        output, _ = policy.seq(shown, policy.values.of(shown), reset, memory)
        outs.append(output.output)
    assert torch.equal(*outs)


def test_combinations_are_pressed_as_the_game_names_them(tmp_path):
    """With a table of actions as points, a file presses the keys of the drawn row."""
    actions = Actions("combos", GAME)
    points = {"keys": actions.table.tolist()}
    policy = policy_of(**TRUNKS["window"])
    names = [part.name for part in policy.head.parts]
    config = PolicyConfig.of({**SMALL, "opponent_controls": False, **TRUNKS["window"]})
    combos = Policy(GAME.schema, SHOWN, config, vocabulary={names[0]: points["keys"]}).eval()
    agent = load_submission(written(tmp_path, combos))()
    assert np.array_equal(agent.weights["points"], actions.table)


def test_a_file_plays_as_its_policy_does(tmp_path):
    """Win rates of the file and of the policy agree within the interval of their difference."""
    policy = policy_of(**TRUNKS["window"])
    world = "brawl@rules=original@time_limit=1500@stocks=1"
    facts = play_submission(
        PolicyAgent(policy), written(tmp_path, policy), GAME, "random", world, np.arange(12)
    )
    assert facts["matches"] == 24
    assert facts["difference"]["low"] <= 0 <= facts["difference"]["high"]
    assert 0 < facts["wins"]["value"] < 1
