"""Evaluation of an encoder alone, on recordings: the next keys of each player, and who it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shadowbox.core.evaluation import FILE, EvaluationReport, Figure, GateReport
from shadowbox.core.files import write_whole
from shadowbox.core.game import Game
from shadowbox.core.schema import Array
from shadowbox.core.stats import bootstrap_ratio
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.evaluate.recorded import SeatData, load_seats, player_in_seat
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.play import checkpoints
from shadowbox.play.policy_agent import as_tensor
from shadowbox.play.restored_policy import restore_encoder

if TYPE_CHECKING:
    from shadowbox.model.strategy.encoder import StrategyEncoder


@dataclass(frozen=True)
class _EncoderEvaluation:
    """Sums of each score by episode, [episodes, 2]: numerators and denominators."""

    checkpoint: Path
    store: Path
    side: str
    sums: Mapping[str, Array]

    def report(self) -> EvaluationReport:
        """The report that is printed and stored."""
        found = {name: bootstrap_ratio(*sums.T) for name, sums in self.sums.items()}
        figures = {
            name: Figure(
                value,
                {
                    other.partition("/")[2]: each
                    for other, each in found.items()
                    if other.startswith(f"{name}/")
                },
            )
            for name, value in found.items()
            if "/" not in name
        }
        why = []
        for name, figure in figures.items():
            better = "low" if name == "next_controls" else "high"
            for baseline, value in figure.baselines.items():
                end = figure.value.high if better == "low" else -figure.value.low
                if not end < (value.value if better == "low" else -value.value):
                    why.append(f"{name} is not better than {baseline}")
        spec = f"encoder:{self.checkpoint}"
        context = {"checkpoint": str(self.checkpoint), "side": self.side}
        episodes = len(next(iter(self.sums.values()), ()))
        gate = GateReport(not why, tuple(why))
        return EvaluationReport(
            "encoder", spec, str(self.store), gate, figures, {**context, "episodes": episodes}
        )


def evaluate_encoder(
    checkpoint: str | Path,
    store: str | Path,
    settings: EvalConfig | None = None,
    *,
    game: Game | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> _EncoderEvaluation:
    """Evaluate an encoder on held-out episodes; the report is written beside the checkpoint."""
    import torch

    from shadowbox.model import checkpoint as files

    settings, opened = settings or EvalConfig(), Store(store)
    where, _, which = str(checkpoint).partition("@")
    folder = checkpoints.checkpoint_folder(where, which)
    encoder = restore_encoder(files.load(folder, device=settings.device), opened.schema)
    split = settings.split or checkpoints.trained_split(folder)[0] or Split()
    episodes = split.episodes(opened, settings.side).tolist()[: settings.most]
    if len(episodes) < 2:
        raise UsageError(
            f"{opened.path}: {len(episodes)} of its episodes are on the side '{settings.side}'; "
            "intervals need at least two: record more, or choose another side"
        )
    usual = _most_frequent(opened, encoder, episodes)
    sums: dict[str, list[Array]] = {}
    with torch.inference_mode():
        for at, episode in enumerate(episodes):
            both = [_scored(opened, encoder, seat, usual) for seat in load_seats(opened, [episode])]
            for key in both[0]:
                sums.setdefault(key, []).append(np.sum([each[key] for each in both], axis=0))
            if progress:
                progress("encoding", at + 1, len(episodes))
    found = _EncoderEvaluation(
        folder, Path(store), settings.side, {key: np.stack(each) for key, each in sums.items()}
    )
    text = json.dumps(found.report().to_json(), indent=1, allow_nan=False) + "\n"
    write_whole(folder / FILE, text.encode())
    return found


def _most_frequent(store: Store, encoder: StrategyEncoder, episodes: Sequence[int]) -> int:
    """Number of the name that is most frequent in these episodes, which favors that baseline."""
    from shadowbox.model.strategy.encoder import opponent_numbers

    players = range(store.schema.players)
    names = [player_in_seat(store, episode, player) for episode in episodes for player in players]
    numbers = [number for number in opponent_numbers(encoder.opponents, names) if number >= 0]
    return int(np.bincount(numbers or [0]).argmax())


def _scored(store: Store, encoder: StrategyEncoder, seat: SeatData, usual: int) -> dict[str, Array]:
    """Numerator and denominator of each score over a seat's frames."""
    import torch

    from shadowbox.model.strategy.encoder import opponent_numbers, task_scores

    view = {key: as_tensor(seat.view[key])[None] for key in encoder.keys}
    reset = torch.zeros(1, seat.frames, dtype=torch.bool)
    reset[:, 0] = True
    name = player_in_seat(store, seat.episode, store.schema.players - 1 - seat.player)
    number = torch.tensor(opponent_numbers(encoder.opponents, [name]))
    latent, _ = encoder.seq(view, encoder.initial(1, reset.device), reset)
    inside = torch.ones_like(reset)
    scores = task_scores(encoder, latent, view, reset, inside, number, most_frequent=usual)
    return {key: np.array([float(each.sum()) for each in ratio]) for key, ratio in scores.items()}
