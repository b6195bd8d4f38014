"""Tables of a run of self-play: complete, exact after a kill, and named as documented."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from shadowbox.games import load
from shadowbox.learners.monitoring.rows import attention_share, strategy_figures
from shadowbox.learners.registry import Inputs, RunSpec, learner_spec
from shadowbox.play import rewards, specs
from shadowbox.play.turn import MatchBatch
from shadowbox.train import log
from shadowbox.train.config import TrainConfig
from shadowbox.train.loop import train
from shadowbox.train.observer import CONTINUE, ObserverDecision
from shadowbox.train.tables import _Table, _Tables, read_table

GAME = load("brawl")
SPEC = learner_spec("selfplay")
DOCS = Path(__file__).parents[2] / "docs" / "monitoring.md"
NOT_OF_THE_RUN = {"t"}  # seconds


def inputs(run, steps=4, strategy="banded"):
    """Inputs of a small run in matches of half a second."""
    learner = {"n_steps": 12, "n_epochs": 1, "batch_size": 48, "snapshot_every": 1}
    model = {"width": 16, "hidden_width": 8, "head_width": 8, "repeat": 2, "strategy": strategy}
    return Inputs(
        spec=RunSpec(GAME, "small", model, learner),
        config=TrainConfig(
            steps=steps, batch=8, lr=1e-3, log_every=2, warmup=0, precision="fp32", threads=1
        ),
        worlds=partial(GAME.world, time_limit=15),
        agents=lambda spec: specs.agent(spec, GAME),
        opponents={"self": 0.25, "league": 0.25, "constant": 0.25, "based": 0.25},
        reward=rewards.resolve_reward("sparse", GAME),
        run=run,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of four updates."""
    folder = tmp_path_factory.mktemp("monitored")
    given = inputs(folder)
    train(SPEC.prepare(given), folder, given.config)
    return folder


TABLES = (
    "monitor.csv", "behavior_metrics.csv", "reward_breakdown.csv", "opponents.csv",
    "strategy_analysis.csv", "rollouts.csv", "updates.csv",
)  # fmt: skip


def test_the_columns_are_documented(run):
    """Every column of every table has its line in the documentation, in the order of the file."""
    text = DOCS.read_text()
    for name in TABLES:
        part = text.split(f"### `{name}`", 1)[1].split("\n#", 1)[0]
        documented = re.findall(r"^\| `([^`]+)`", part, re.MULTILINE)
        head = next(line for line in (run / name).read_text().splitlines() if line[0] != "#")
        columns = [re.sub(r"^press\..*", "press.KEY", column) for column in head.split(",")]
        if name == "reward_breakdown.csv":
            terms = set(GAME.rewards["dense"]().weights)
            assert terms <= set(columns)
            columns = [column for column in columns if column not in terms | {"attack_press"}]
        assert list(dict.fromkeys(columns)) == documented, name


def test_rows_agree(run):
    """Each match has one row in every table of matches, and their figures agree with each other."""
    monitor, behavior, paid = (read_table(run / name) for name in TABLES[:3])
    assert len(monitor) == len(behavior) == len(paid) > 16
    assert [row["episode"] for row in monitor] == [str(at + 1) for at in range(len(monitor))]
    assert {row["opponent"] for row in monitor} == {"self", "league", "constant", "based"}
    for match, did, terms in zip(monitor, behavior, paid, strict=True):
        assert match["episode"] == did["episode"] == terms["episode"]
        assert (match["snapshot"] == "now") == (match["opponent"] == "self")
        assert match["snapshot"].startswith("step-") == (match["opponent"] == "league")
        assert float(did["survival_time"]) == pytest.approx(int(match["l"]) / 30, abs=1e-4)
        values = [float(v) for key, v in terms.items() if key not in (*match, "total_reward")]
        assert sum(values) == pytest.approx(float(match["r"]), abs=1e-3)
    results = read_table(run / "opponents.csv")
    for name in ("based", "constant"):
        own = [row for row in results if row["opponent"] == name]
        met = [row for row in monitor if row["opponent"] == name]
        assert sum(int(row["matches"]) for row in own) == len(met)
        assert sum(int(row["wins"]) for row in own) == sum(row["won"] == "1" for row in met)
    assert [row["step"] for row in read_table(run / "updates.csv")] == ["1", "2", "3", "4"]
    assert [row["step"] for row in read_table(run / "rollouts.csv")] == ["2", "4"]
    latents = read_table(run / "strategy_analysis.csv")
    assert all(float(row["latent_std"]) > 0 and row["opponents"] == "4" for row in latents)


def test_the_form_of_the_monitor(run):
    """monitor.csv has the form of Stable-Baselines3: a line of JSON, and the columns r, l and t."""
    first, head = (run / "monitor.csv").read_text().splitlines()[:2]
    assert first[0] == "#"
    facts = json.loads(first[1:])
    assert facts["env_id"] == "brawl"
    assert head.startswith("r,l,t,")
    begun = log.read_facts(run)
    times = [float(row["t"]) for row in read_table(run / "monitor.csv")]
    assert times == sorted(times)
    assert 0 <= times[-1] <= begun["cost"]["wall_s"]


def test_curves_are_drawn(run):
    """The curves of a run are a page and a picture."""
    page = (run / "training_curves.html").read_text()
    assert all(word in page for word in ("won against based", "entropy", "damage", "latent_std"))
    assert (run / "training_curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_that_was_killed(tmp_path, run):
    """Rows after the last checkpoint are taken back: no match is lost or there twice."""
    given = inputs(tmp_path)

    def pause(progress):
        return ObserverDecision("pause") if progress.step == 2 else CONTINUE

    train(SPEC.prepare(given), tmp_path, given.config, observer=pause)
    for name in TABLES:  # as if it had gone on, and been killed while it wrote
        text = (tmp_path / name).read_text()
        head = next(line for line in text.splitlines() if line[0] != "#")
        later = ",".join("3" for _ in head.split(","))
        (tmp_path / name).write_text(f"{text}{later}\n{later[:-1]}")
    train(SPEC.prepare(given), tmp_path, given.config, resume=True)
    for name in TABLES:
        whole, cut = (
            [{k: v for k, v in row.items() if k not in NOT_OF_THE_RUN} for row in read_table(each)]
            for each in (run / name, tmp_path / name)
        )
        assert whole == cut, name


def test_a_run_without_an_encoder(tmp_path):
    """Without an encoder strategy_analysis.csv is a head without rows."""
    given = inputs(tmp_path, steps=2, strategy="")
    train(SPEC.prepare(given), tmp_path, given.config)
    assert (tmp_path / "strategy_analysis.csv").read_text().startswith("step,players,")
    assert read_table(tmp_path / "strategy_analysis.csv") == []


def test_tables_of_an_earlier_version(tmp_path):
    """A table whose columns have changed keeps its rows by column, and texts survive quoting."""
    (tmp_path / "a.csv").write_text('step,old,name\n1,x,"one, ""two"""\n2,torn')
    tables = _Tables(tmp_path, {"a.csv": _Table(("step", "name", "new"))})
    tables.write(2, {"a.csv": [{"name": "a,b", "new": 0.1 + 0.2}]})
    tables.cut(1)
    tables.write(2, {"a.csv": [{"name": "c", "new": None}]})
    tables.close()
    assert read_table(tmp_path / "a.csv") == [
        {"step": "1", "name": 'one, "two"', "new": ""},
        {"step": "2", "name": "c", "new": ""},
    ]


def test_figures_of_latents():
    """Latents that are apart by opponent, that never change, and that are random are told apart."""
    random = np.random.default_rng(1)
    names = ["a", "b"] * 20
    noise = random.normal(size=(40, 9, 8))
    quiet = np.zeros(40, bool)
    found = strategy_figures(noise, quiet, names)
    assert found["drift"] == pytest.approx(1.0, abs=0.15)
    assert found["between_opponents"] == pytest.approx(found["between_chance"], abs=0.03)
    apart = noise * 0.1 + np.array([0.0, 1.0] * 20)[:, None, None]
    assert strategy_figures(apart, quiet, names)["between_opponents"] > 0.95
    still = np.repeat(noise[:, :1], 9, axis=1)
    assert strategy_figures(still, quiet, names)["drift"] == 0.0
    assert strategy_figures(still, ~quiet, names)["drift"] is None


def test_attention_of_an_encoder():
    """Attention that is uniform in every layer has the share 1, a sharp one much less."""
    task = SPEC.prepare(inputs(None))
    encoder = task.model.strategy.eval()
    for layer in encoder.trunk.layers:
        torch.nn.init.zeros_(layer.ask.weight)  # all frames are alike
        torch.nn.init.zeros_(layer.ask.bias)
    columns = {
        key: torch.from_numpy(v.astype(np.int64) if v.dtype.kind == "u" else v)[:, None]
        for key, v in GAME.schema.neutral(1).items()
    }
    view = {key: values.expand(1, 70, -1) for key, values in columns.items()}
    reset = torch.zeros(1, 70, dtype=torch.bool)
    memory = encoder.initial(1, torch.device("cpu"))
    with torch.no_grad():
        weights, _ = encoder.attention(view, memory, reset)
    assert attention_share(weights[:, -1].numpy(), encoder.trunk.depth) == pytest.approx(
        1, abs=0.01
    )
    sharp = np.zeros((1, 65))
    sharp[0, 3] = 1
    assert attention_share(sharp, 2) == 0
    assert attention_share(np.full((2, 65), 1 / 65), 0) == pytest.approx(1)


def test_behavior_of_a_match():
    """Counts of single frames add up to the damage, stocks and attacks of a recorded match."""
    behavior = GAME.behavior
    agents = [specs.agent(name, GAME) for name in ("aggressive", "expert")]
    batch = MatchBatch(GAME, GAME.world(1), agents)
    batch.begin(np.array([3]))
    rows, sums, lost, last = [], 0.0, np.zeros(2), None
    while not batch.over.all():
        last = {key: values.copy() for key, values in batch.view.items()}
        turn = batch.turn()
        sums = sums + behavior.count(turn.columns, turn.events, turn.events["match"])
        rows.append({key: values[0].copy() for key, values in turn.columns.items()})
    found = [behavior.of(sums[:, 0, seat], len(rows)) for seat in (0, 1)]
    assert last is not None
    columns = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    stocks = columns["player/stocks"][-1]
    lost = 3 - stocks.astype(int)
    assert [each["knockouts_taken"] for each in found] == lost.tolist()
    assert [each["knockouts_dealt"] for each in found] == lost[::-1].tolist()
    assert found[0]["damage_dealt"] == found[1]["damage_taken"] > 0
    attacks = GAME.attacks(columns).sum(axis=0)
    assert [each["attacks_attempted"] for each in found] == attacks.tolist()
