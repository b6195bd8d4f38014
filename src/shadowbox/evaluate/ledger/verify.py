"""Verification of a signed ledger: some of its matches are played again from their controls.

A match is false if its result is not that of its controls, or if the controls are not those of the
agents: bots and policies are asked again on a machine of the recorded kind, and a policy's controls
must be as likely under its probabilities as what it draws itself, on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core import system
from shadowbox.core.files import parse_json, read_bytes
from shadowbox.core.game import Game
from shadowbox.core.schema import Columns
from shadowbox.core.view import from_seat
from shadowbox.errors import ShadowboxError, UsageError
from shadowbox.evaluate.ledger import chain
from shadowbox.evaluate.tournament import (
    LINE,
    TournamentSpec,
    make_world,
    match_identity,
    pair_seeds,
)
from shadowbox.play import specs
from shadowbox.play.agent import Replay
from shadowbox.play.match import play
from shadowbox.play.policy_agent import PolicyAgent
from shadowbox.play.warm_start import context_views

DRAWS = 32  # games of chance of a policy with itself, for the spread of its likelihood
SURPRISE = 6.0  # deviations from its own draws at which controls are not a policy's
UNLIKELY = 1e-9  # probability of one decision that no draw has
FEW = 0.01  # share of false matches whose detection is given


class _Match(NamedTuple):
    """A match of a ledger."""

    line: int
    agents: tuple[str, str]
    number: int  # in its line
    seed: int
    said: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Where it is, for a message."""
        return f"line {self.line}, match {self.number} ({self.agents[0]} against {self.agents[1]})"


def verify_ledger(
    ledger: Path, game: Game, *, share: float = 0.01, seed: int = 0, signers: Path | None = None
) -> dict[str, Any]:
    """Check chain and signature, and play a share of the matches again."""
    plan, matches = read_ledger(ledger)
    signed = chain.signer_of(ledger, signers)
    if game.name != plan.game.partition(":")[0]:
        raise UsageError(f"{ledger} is of {plan.game}, not of {game.name}")
    changed = _changed_weights(plan, game)
    same = system.processor() == plan.record.get("cpu")
    count = min(len(matches), max(1, round(share * len(matches))))
    chosen = np.random.default_rng(seed).permutation(len(matches))[:count]
    wrong: list[dict[str, Any]] = []
    unchecked: set[str] = set()
    for at in sorted(chosen.tolist()):
        match = matches[at]
        for what in _faults(game, plan, match, same, unchecked):
            wrong.append(
                {"line": match.line, "match": match.number, "agents": match.agents, "what": what}
            )
    return {
        "ledger": str(ledger),
        "signed_by": signed,
        "chain": "whole",
        "cpu": plan.record.get("cpu"),
        "same_cpu": same,
        "matches": len(matches),
        "checked": count,
        "seed": seed,
        "weights_changed": changed,
        "actions_unchecked": sorted(unchecked),
        "false": wrong,
        "chance": {
            "of_one": count / len(matches),
            "of_one_percent": detection(len(matches), count, max(1, round(FEW * len(matches)))),
        },
    }


def detection(matches: int, checked: int, wrong: int) -> float:
    """Chance that at least one of so many false matches is among the matches checked."""
    missed = 1.0
    for at in range(wrong):
        missed *= max(matches - checked - at, 0) / (matches - at)
    return 1.0 - missed


def read_ledger(ledger: Path) -> tuple[TournamentSpec, list[_Match]]:
    """The plan and the matches of a signed ledger, whose chain must be whole."""
    try:
        lines = read_bytes(ledger).split(b"\n")
    except FileNotFoundError:
        raise UsageError(f"{ledger} does not exist") from None
    if lines.pop():
        raise ShadowboxError(f"{ledger}: its last line is cut off")
    blocks = [
        parse_json(line, f"{ledger}, line {at}", {**LINE, "prev?": str}, hint="it is not verified")
        for at, line in enumerate(lines[1:], start=2)
    ]
    head = parse_json(lines[0], f"{ledger}, line 1", hint="it is not verified") if lines else {}
    known = {each.name for each in fields(TournamentSpec)}
    if not head.get("record") or not head.keys() <= known or any("prev" not in b for b in blocks):
        raise UsageError(
            f"{ledger} holds no controls to play again: make it with tournament --sign KEY"
        )
    if at := chain.broken_link(lines, [block["prev"] for block in blocks]):
        raise ShadowboxError(f"{ledger}, line {at}: it was changed, the next line's digest differs")
    plan = TournamentSpec(**{**head, "agents": tuple(head["agents"])})
    return plan, list(_matches(plan, blocks))


def _matches(plan: TournamentSpec, blocks: list[dict[str, Any]]) -> Iterator[_Match]:
    for line, block in enumerate(blocks, start=2):
        first, second, start = block["block"]
        seeds = pair_seeds(plan, first, second)[start:]
        for number, said in enumerate(block["matches"]):
            yield _Match(line, (first, second), number, int(seeds[number]), said)


def _changed_weights(plan: TournamentSpec, game: Game) -> list[str]:
    """Agents whose weights here are not those of the ledger."""
    recorded = plan.record.get("weights", {})
    now = chain.weights_of(game, plan.agents)
    return [name for name in plan.agents if now.get(name) != recorded.get(name)]


# ---- one match -----------------------------------------------------------------------------------


def _faults(
    game: Game, plan: TournamentSpec, match: _Match, same: bool, unchecked: set[str]
) -> Iterator[str]:
    """What is wrong with a match, played again."""
    said = match.said
    if said["forfeit"]:
        unchecked.add("forfeits")
        return
    try:
        controls = chain.unpacked_controls(game.schema, said["controls"], said["frames"])
    except ShadowboxError as unreadable:
        yield str(unreadable)
        return
    agents = [Replay(controls), Replay(controls)]
    world = make_world(game, plan)(1)
    (played,) = play(game, world, agents, match.agents, np.array([match.seed]))
    if played.outcome.winner != said["winner"] or played.episode.frames != said["frames"]:
        yield (
            f"its controls give winner {played.outcome.winner} after {played.episode.frames} frames, "
            f"it says {said['winner']} after {said['frames']}"
        )
        return
    if same and match_identity(game, played.episode) != said["identity"]:
        yield "its controls give other positions on a machine of the same kind"
        return
    for seat, name in enumerate(match.agents):
        yield from _wrong_actions(
            game, name, seat, match.seed, played.episode.columns, same, unchecked
        )


def _wrong_actions(
    game: Game, name: str, seat: int, seed: int, columns: Columns, same: bool, unchecked: set[str]
) -> Iterator[str]:
    """Controls of a seat that its agent would not press."""
    agent = specs.agent(name, game)
    views = context_views(game.schema, {key: values[:-1, None] for key, values in columns.items()})
    if same:
        frame = _first_other(game, agent, seat, seed, views, columns)
        if frame is not None:
            yield f"'{name}' presses other controls in frame {frame}"
            return
    if isinstance(agent, PolicyAgent) and agent.limits is None and not agent.policy.config.delays:
        yield from _unlikely(game, name, agent, seat, views, columns)
    elif not same:
        unchecked.add(name)


def _first_other(
    game: Game, agent: Any, seat: int, seed: int, views: list[Columns], columns: Columns
) -> int | None:
    """First frame in which the agent presses something else; None if there is none."""
    state = agent.start(np.array([seed]), np.array([seat]))
    slots = game.schema.controls.slots // game.schema.players
    own = slice(seat * slots, (seat + 1) * slots)
    for frame, view in enumerate(views):
        pressed, state = agent.act(from_seat(game.schema, view, seat), state)
        if any((pressed[k][0] != columns[k][frame, own]).any() for k in game.schema.control_keys):
            return frame
    return None


def _unlikely(
    game: Game, name: str, agent: PolicyAgent, seat: int, views: list[Columns], columns: Columns
) -> Iterator[str]:
    """Decisions that a policy would not draw: one alone, or all of them together."""
    import torch

    from shadowbox.play.policy_agent import as_tensor

    policy, repeat = agent.policy, agent.policy.config.repeat
    seen = [from_seat(game.schema, view, seat) for view in views[::repeat]]
    own = from_seat(game.schema, columns, seat)
    shown = {key: as_tensor(np.stack([v[key][0] for v in seen]))[None] for key in policy.reads}
    pressed = {
        key: as_tensor(np.asarray(own[key][:-1:repeat]))[None] for key in game.schema.control_keys
    }
    with torch.inference_mode():
        values = policy.values.of(pressed)
        begins = torch.zeros(1, len(seen), dtype=torch.bool)
        begins[:, 0] = True
        output, _ = policy.seq(shown, values, begins, style=agent.style)
        logged = output.log_prob(values, agent.temperatures).sum(-1)[0].numpy()
        random = torch.Generator().manual_seed(0)
        totals = []
        for _ in range(DRAWS):
            noise = torch.rand(1, len(seen), policy.draws, generator=random)
            drawn = output.drawn(noise, agent.temperatures)
            again = output.given(drawn).log_prob(drawn, agent.temperatures)
            totals.append(float(again.sum()))
    if logged.min() < np.log(UNLIKELY):
        yield (
            f"'{name}' draws its decision of frame {int(logged.argmin()) * repeat} with "
            f"probability {np.exp(logged.min()):.1e}"
        )
        return
    spread = max(float(np.std(totals)), 1e-3)
    off = (float(logged.sum()) - float(np.mean(totals))) / spread
    if abs(off) > SURPRISE:
        yield f"'{name}' draws such controls {off:+.0f} deviations from what is usual"


def ledger_game(ledger: Path) -> str:
    """Name of the game in a ledger's first line."""
    try:
        first = read_bytes(ledger).split(b"\n")[0]
    except FileNotFoundError:
        raise UsageError(f"{ledger} does not exist") from None
    found: str = parse_json(first, f"{ledger}, line 1", {"game": str})["game"]
    return found


def as_text(facts: Mapping[str, Any]) -> str:
    """Facts of a verification as lines."""
    chance = facts["chance"]
    lines = [
        f"chain whole, signed by {facts['signed_by'] or 'no key'}",
        f"{facts['checked']} of {facts['matches']} matches played again "
        f"({'bit for bit, on' if facts['same_cpu'] else 'results and likelihoods alone, not on'} "
        f"a machine of the recorded kind)",
        f"chance to find a single false match {chance['of_one']:.1%}, one of 1 % false ones "
        f"{chance['of_one_percent']:.1%}",
    ]
    lines += [f"warning: the weights of {name} are other ones" for name in facts["weights_changed"]]
    lines += [f"not checked: actions of {name}" for name in facts["actions_unchecked"]]
    for each in facts["false"]:
        first, second = each["agents"]
        lines.append(
            f"FALSE: line {each['line']}, match {each['match']} ({first} against {second}): {each['what']}"
        )
    return "\n".join([*lines, f"{len(facts['false'])} false matches"])
