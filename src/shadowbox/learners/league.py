"""A league: frozen snapshots of a learner, how often it beats each, and which one it meets next.

Snapshots are copies of the weights, written once and never changed: `league/NAME.safetensors` in
the run's folder, listed in `league.json`. Win rates are those of the learner against each snapshot,
with older matches counting less (`DECAY` a match) and a prior of one win and one loss.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from shadowbox.core.files import write_whole
from shadowbox.core.schema import Array
from shadowbox.core.stats import wilson
from shadowbox.errors import CheckpointError, UsageError, did_you_mean

DECAY = 0.99  # of older matches, for each new one against the same snapshot
NEWEST = 5  # snapshots that `past` leaves out, for they are the learner itself
FOLDER, MANIFEST = "league", "league.json"
MAIN = "main"  # role of snapshots of the learner itself; others are exploiters
GATE_MATCHES = 100  # least matches against the champion before another one takes its place


# ---- who is met ----------------------------------------------------------------------------------


def sampling_weights(rates: Array, sampler: str) -> Array:
    """Chance [n] of meeting each snapshot, oldest first, given the learner's win rates [n].

    latest: the newest alone; uniform: all alike; recent: more of the newer ones, without the five
    newest; pfsp_hard: those that win most, (1 - p)^2; pfsp_variance: those of equal strength,
    p (1 - p). Prioritized samplers keep a floor of 1 / n shared among all, so that nothing is
    forgotten.
    """
    n = len(rates)
    if sampler == "latest":
        weights = np.eye(n)[-1]
    elif sampler == "uniform":
        weights = np.ones(n)
    elif sampler == "recent":
        old = max(n - NEWEST, 1)
        weights = np.where(np.arange(n) < old, np.sqrt(np.arange(n) + 1.0), 0.0)
    elif sampler == "pfsp_hard":
        weights = (1 - rates) ** 2
    elif sampler == "pfsp_variance":
        weights = rates * (1 - rates)
    else:
        raise UsageError(f"unknown sampler '{sampler}': {did_you_mean(sampler, SAMPLERS)}")
    chance = weights / weights.sum() if weights.sum() else np.full(n, 1 / n)
    if sampler.startswith("pfsp"):
        chance = (1 - 1 / n) * chance + 1 / n**2 if n > 1 else chance
    return np.asarray(chance / chance.sum())


SAMPLERS = ("latest", "uniform", "recent", "pfsp_hard", "pfsp_variance")


def evicted(steps: Sequence[int], keep: int) -> list[int]:
    """Places to drop so that `keep` snapshots are left: every second of the older half, oldest kept.

    So history thins out with age and is never cut off.
    """
    places = list(range(len(steps)))
    while len(places) > keep:
        half = max(len(places) // 2, 2)
        dropped = places[1:half:2][: len(places) - keep]
        places = [place for place in places if place not in dropped]
    return sorted(set(range(len(steps))) - set(places))


@dataclass(frozen=True, kw_only=True)
class _LeagueConfig:
    """Settings of the matches; those of the league are for cards with the opponent `league`."""

    snapshot_every: int = 20  # rollouts between snapshots
    snapshots: int = 50  # kept; older ones thin out
    sampler: str = "pfsp_hard"  # or pfsp_variance, uniform, recent, latest
    mirror: bool = False  # let half of the matches be seen and played in the mirror

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise UsageError(
                f"unknown sampler '{self.sampler}': {did_you_mean(self.sampler, SAMPLERS)}"
            )
        if self.snapshot_every < 1 or self.snapshots < 2:
            raise UsageError(
                "snapshot_every must be at least 1 and snapshots at least 2 "
                f"(got {self.snapshot_every} and {self.snapshots})"
            )


class League:
    """Snapshots with the learner's results against each. `run`: the folder, or None for memory only."""

    def __init__(self, run: Path | None, keep: int) -> None:
        self.folder = run / FOLDER if run is not None else None
        self.run, self.keep = run, keep
        # name, role, step, wins, matches (decayed), met; exploiters first, each role by age
        self.entries: list[dict[str, Any]] = []
        self.champion = ""
        self.pinned = ""  # a snapshot that an exploiter needs
        self.generations: list[dict[str, Any]] = []  # of exploiters that have joined
        self._kept: dict[str, dict[str, Tensor]] = {}
        # files of dropped snapshots: since the last `state`, and before it
        self._dropped: list[str] = []
        self._doomed: list[str] = []

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def names(self) -> list[str]:
        """Snapshots, oldest first."""
        return [entry["name"] for entry in self.entries]

    @property
    def newest(self) -> str:
        """The newest snapshot of the learner itself."""
        return self.names[-1]

    def rates(self) -> Array:
        """Win rate of the learner against each snapshot, with its prior."""
        return np.array([(e["wins"] + 1) / (e["matches"] + 2) for e in self.entries])

    def add(self, model: nn.Module, step: int, role: str = MAIN) -> str:
        """Take a snapshot of the model; of each role the oldest ones thin out."""
        name = f"{'step' if role == MAIN else role}-{step:08d}"
        weights = {
            key: values.detach().to("cpu", copy=True).contiguous()
            for key, values in model.state_dict().items()
        }
        if self.folder is None:
            self._kept[name] = weights
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.folder / f"{name}.safetensors", save_tensors(weights))
        if name not in self.names:
            fresh = {"name": name, "role": role, "step": step}
            self.entries.append({**fresh, "wins": 0.0, "matches": 0.0, "met": [0, 0]})
            self.entries.sort(key=lambda entry: (entry["role"] == MAIN, entry["step"]))
        for main in (True, False):
            alike = [e for e in self.entries if (e["role"] == MAIN) == main]
            for place in evicted([e["step"] for e in alike], self.keep):
                if alike[place]["name"] not in (self.champion, self.pinned):
                    self.entries.remove(alike[place])
                    self._drop(alike[place]["name"])
        self.champion = self.champion or name
        self.write()
        return name

    def weights(self, name: str) -> Mapping[str, Tensor]:
        """Weights of a snapshot."""
        if self.folder is None:
            return self._kept[name]
        path = self.folder / f"{name}.safetensors"
        try:
            return load_tensors(path.read_bytes())
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error

    def count(self, name: str, won: bool) -> None:
        """Count a match of the learner against a snapshot; one that is gone no longer counts."""
        for entry in self.entries:
            if entry["name"] == name:
                entry["wins"] = entry["wins"] * DECAY + won
                entry["matches"] = entry["matches"] * DECAY + 1
                entry["met"] = [entry["met"][0] + int(won), entry["met"][1] + 1]
        for generation in self.generations:
            if generation["name"] == name:
                wins, matches = generation["recovery"]
                generation["recovery"] = [wins + int(won), matches + 1]

    def promote(self) -> str:
        """The newest snapshot becomes champion if the learner surely beats the old one.

        Surely: the lower bound of its win rate in at least `GATE_MATCHES` matches is above one half.
        """
        met = next((e["met"] for e in self.entries if e["name"] == self.champion), [0, 0])
        newest = self.newest
        if newest == self.champion or met[1] < GATE_MATCHES or wilson(*met).low <= 0.5:
            return ""
        self.champion = newest
        self.write()
        return newest

    def write(self) -> None:
        """Write the manifest, whole."""
        if self.run is not None and self.entries:
            about = {"champion": self.champion, "snapshots": self.entries}
            about |= {"generations": self.generations} if self.generations else {}
            write_whole(self.run / MANIFEST, json.dumps(about, indent=1).encode())

    def state(self) -> dict[str, Any]:
        """State as plain data for a checkpoint; the weights stay where they are.

        The file of a dropped snapshot stays until the checkpoint after the one that needs it.
        """
        self.write()
        self._unlink(self._doomed)
        self._doomed, self._dropped = self._dropped, []
        kept = {name: dict(weights) for name, weights in self._kept.items()}
        entries = [dict(entry, met=list(entry["met"])) for entry in self.entries]
        generations = [{**each, "recovery": list(each["recovery"])} for each in self.generations]
        return {
            "champion": self.champion,
            "entries": entries,
            "kept": kept,
            "pinned": self.pinned,
            "generations": generations,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`; snapshots that were taken after it are dropped."""
        self.champion = state["champion"]
        self.entries = [dict(entry, met=list(entry["met"])) for entry in state["entries"]]
        self._kept = {name: dict(weights) for name, weights in state["kept"].items()}
        self.pinned = state["pinned"]
        self.generations = [
            {**each, "recovery": list(each["recovery"])} for each in state["generations"]
        ]
        self._dropped, self._doomed = [], []
        if self.folder is not None and self.folder.is_dir():
            for path in self.folder.glob("*.safetensors"):
                if path.stem not in self.names:
                    path.unlink()
        self.write()

    def _drop(self, name: str) -> None:
        self._kept.pop(name, None)
        self._dropped.append(name)

    def _unlink(self, names: Sequence[str]) -> None:
        if self.folder is not None:
            for name in names:
                (self.folder / f"{name}.safetensors").unlink(missing_ok=True)
