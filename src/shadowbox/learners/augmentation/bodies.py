"""Other bodies than the recorded ones: segments whose skeletons are bent, stretched, shaken and seen anew.

A skeleton is a group whose schema says from which points each point hangs (`Group.bones`). Its bones
are the ways from there to the point. Each segment of a batch gets its own draws, the same for all of
its skeletons. Rates are those of the changed places: a row's changed place less the place of a frame
before, changed by the draws of the row before. Frames that a slow camera repeats stay repeated, and
points that were not found stay 0.

B: segments, R: rows, S: points of a skeleton.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from shadowbox.core.declaration import PLACES, RATES
from shadowbox.core.fields import Group
from shadowbox.core.schema import Columns, Schema
from shadowbox.errors import ShadowboxError
from shadowbox.learners.imitation_options import BODY, ImitationConfig
from shadowbox.train.log import read_facts

DEPTH = 2.0  # noise along z, as a multiple of that in the picture: a camera sees depth less well
SHAKING = 3  # rows over which trembling is smoothed, twice
SMALLEST = 1e-6  # metres; a shorter bone has no direction
LEAST_COMMON = 0.3  # length of the mean of directions that has a direction itself
# rad from the usual direction within which a bone stays as it is: nothing can be seen to change, or
# the plane of the change is not defined
LEAST_ANGLE, STRAIGHT = 1e-3, 3.0


class _Draws(NamedTuple):
    """Changes of each segment."""

    size: Tensor  # [B, 1, 1]
    amplitude: Tensor  # of the angles, [B, 1, 1]
    turn: Tensor  # rotation of the camera, [3, 3, B, 1, 1]
    tremor: Tensor  # largest angle, [B, 1, 1]
    noise: Tensor  # share of the size, [B, 1, 1]


def changed_bodies(
    schema: Schema, columns: Mapping[str, Tensor], config: ImitationConfig
) -> dict[str, Tensor]:
    """Columns [B, R, slots] in which the bodies of the segments differ from the recorded ones."""
    changed, example = dict(columns), next(iter(columns.values()))
    draws = _drawn(len(example), example.device, config)
    groups = [group for group in schema.state if group.bones]
    fresh = _fresh(columns, groups)
    for group in groups:
        keys = [[f"{group.name}/{name}" for name in names] for names in (PLACES, RATES)]
        place, rate = (torch.stack([columns[key] for key in each]) for each in keys)
        found = [columns[flag] for flag in group.shown_by]
        shown = torch.cat(found, -1) if found else (place != 0).any(0)
        parts = _changed(group, place, rate, shown, draws, config.body_lengths, schema.fps)
        again = fresh[None, ..., None].expand_as(place)
        for each, values in zip(keys, parts, strict=True):
            changed |= dict(zip(each, values.gather(2, again).unbind(0), strict=True))
    return changed


def view_changes(checkpoint: Path, schema: Schema) -> Callable[[Columns, int], Columns] | None:
    """Change of a view [R, slots] by a seed, with the bodies of a checkpoint's training; None if it had none.

    A checkpoint outside of its run has no training to look up.
    """
    try:
        said = read_facts(checkpoint.parent.parent).get("imitation") or {}
    except (OSError, ShadowboxError):
        return None
    config = ImitationConfig.of({name: float(said.get(name, 0)) for name in BODY})
    if not config.changes_bodies or not any(group.bones for group in schema.state):
        return None

    def changed(view: Columns, seed: int) -> Columns:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            one = {key: torch.from_numpy(np.array(values))[None] for key, values in view.items()}
            found = changed_bodies(schema, one, config)
        return {key: values[0].numpy() for key, values in found.items()}

    return changed


def _drawn(many: int, device: torch.device, config: ImitationConfig) -> _Draws:
    """Draws of `many` segments."""

    def share(*shape: int) -> Tensor:
        return torch.rand(many, *shape, device=device)

    turn = torch.linalg.matrix_exp(_crossed(config.body_turn * (2 * share(3) - 1)))
    return _Draws(
        size=1 + config.body_size * (2 * share(1, 1) - 1),
        amplitude=1 + config.body_amplitude * (2 * share(1, 1) - 1),
        turn=turn.permute(1, 2, 0)[..., None, None],
        tremor=config.body_tremor * share(1, 1),
        noise=config.body_noise * share(1, 1),
    )


def _changed(
    group: Group,
    place: Tensor,
    rate: Tensor,
    shown: Tensor,
    draws: _Draws,
    lengths: float,
    fps: float,
) -> tuple[Tensor, Tensor]:
    """Places and rates [3, B, R, S] of a skeleton, of which points are `shown` [B, R, S], in other bodies."""
    _, many, rows, points = place.shape
    device = place.device
    hung = torch.eye(points, device=device) - _above(group, device)  # bones = places @ hung
    whole = torch.linalg.inv(hung)
    usual = _usual(place @ hung)
    stretch = draws.size * (1 + lengths * (2 * torch.rand(many, 1, points, device=device) - 1))
    # the row before the first one has draws of its own, by which the first row's rate is known
    joints = {parents: at for at, parents in enumerate(dict.fromkeys(group.bones))}
    of_joint = torch.tensor([joints[parents] for parents in group.bones], device=device)
    shaking = draws.tremor * _smooth_noise(many, rows + 1, len(joints), device)
    noise = torch.randn(3, many, rows + 1, points, device=device) * draws.noise * _mean_size(place)
    noise[2] *= DEPTH

    def bent(places: Tensor, first: int) -> Tensor:
        bones = places @ hung
        length = _length(bones).clamp(min=SMALLEST)
        way = _turned_away(bones / length, usual, draws.amplitude)
        if draws.tremor.any():
            way = way + torch.linalg.cross(
                shaking[:, :, first : first + rows, of_joint], way, dim=0
            )
        made = (way * (length * stretch / _length(way).clamp(min=SMALLEST))) @ whole
        seen = torch.stack([(row * made).sum(0) for row in draws.turn])
        return seen + noise[:, :, first : first + rows]

    now = bent(place, 1).where(shown, 0.0)
    before = bent(place - rate / fps, 0)
    moving = (rate != 0).any(0) & shown
    return now, ((now - before) * fps).where(moving, 0.0)


def _usual(bones: Tensor) -> Tensor:
    """Mean direction of each of the bones [3, B, R, S]: [3, 1, 1, S] of length 1, or 0 if there is none."""
    ways = (bones / _length(bones).clamp(min=SMALLEST)).sum((1, 2), keepdim=True)
    found = (bones != 0).any(0).sum((0, 1))
    length = _length(ways)
    clear = length > LEAST_COMMON * found.clamp(min=1)
    return torch.where(clear, ways / length.clamp(min=SMALLEST), 0.0)


def _turned_away(way: Tensor, usual: Tensor, amplitude: Tensor) -> Tensor:
    """Directions whose angles from the usual ones are `amplitude` times as large; their length is not 1.

    `way` [3, B, R, S] and `usual` [3, 1, 1, S] have length 1. A bone without a usual direction stays, and
    so does one that is nearly opposite to it.
    """
    cosine = (way * usual).sum(0).clamp(-1, 1)
    angle = torch.acos(cosine)
    mine, rest = torch.sin(amplitude * angle), torch.sin((1 - amplitude) * angle)
    kept = (angle < LEAST_ANGLE) | (angle > STRAIGHT) | (usual == 0).all(0)
    return way * torch.where(kept, 1.0, mine) + usual * torch.where(kept, 0.0, rest)


def _smooth_noise(many: int, rows: int, joints: int, device: torch.device) -> Tensor:
    """Noise of deviation 1 that a few rows share, [3, B, R, joints]."""
    white = torch.randn(3, many, rows + 2 * (SHAKING - 1), joints, device=device)
    for _ in range(2):
        white = white.unfold(2, SHAKING, 1).mean(-1)
    weights = [min(n, 2 * SHAKING - n) / SHAKING**2 for n in range(1, 2 * SHAKING)]
    deviation: float = sum(weight**2 for weight in weights) ** 0.5
    return white / deviation


def _fresh(columns: Mapping[str, Tensor], groups: list[Group]) -> Tensor:
    """Row of the newest frame of the camera at each row, int64 [B, R]."""
    moved: Tensor | None = None
    for group in groups:
        for name in PLACES:
            values = columns[f"{group.name}/{name}"]
            differs = (values[:, 1:] != values[:, :-1]).any(-1)
            moved = differs if moved is None else moved | differs
    assert moved is not None
    at = torch.arange(1, moved.shape[1] + 1, device=moved.device) * moved
    first = torch.zeros_like(at[:, :1])
    return torch.cat([first, at], 1).cummax(1).values


def _above(group: Group, device: torch.device) -> Tensor:
    """Matrix [S, S]: places [..., S] times it are the places from which the points hang."""
    matrix = torch.zeros(group.slots, group.slots)
    for slot, parents in enumerate(group.bones):
        matrix[list(parents), slot] = 1 / max(len(parents), 1)
    return matrix.to(device)


def _length(vectors: Tensor) -> Tensor:
    """Lengths of vectors [3, ...]."""
    return vectors.square().sum(0).sqrt()


def _mean_size(place: Tensor) -> Tensor:
    """Mean distance of found points from the origin, a number."""
    far = _length(place)
    return far.sum() / (far > 0).sum().clamp(min=1)


def _crossed(axis: Tensor) -> Tensor:
    """Matrices [B, 3, 3] of the cross product with each axis [B, 3]."""
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).view(-1, 3, 3)
