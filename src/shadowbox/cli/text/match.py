"""Facts of a match as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shadowbox.cli.terminal import number, share, size, table

MOST_REASONS = 3  # that are named of frames outside of a world's data


def match_text(facts: Mapping[str, Any]) -> str:
    """Table of both players, remarks, and the result in the last line."""
    players = facts["players"]
    rows = []
    for label, key in (
        ("damage dealt", "damage_dealt"),
        ("damage taken", "damage_taken"),
        ("attacks begun", "attacks"),
    ):
        if key in players[0]:
            rows.append([label, *(number(int(player[key])) for player in players)])
    for label in dict.fromkeys(kind for player in players for kind in player["events"]):
        rows.append([label, *(number(player["events"].get(label, 0)) for player in players)])
    for label in dict.fromkeys(what for player in players for what in player.get("hits", {})):
        rows.append(
            [f"hits by {label}", *(number(player["hits"].get(label, 0)) for player in players)]
        )
    winner = "draw" if facts["winner"] is None else f"{players[facts['winner']]['name']} wins"
    end = facts["reason"] if len(players) == 1 else f"{winner} by {facts['reason']}"
    lines = [table(["", *(player["name"] for player in players)], rows), ""]
    lines += [f"warning: {mark['player']} {mark['mark']}" for mark in facts["marks"]]
    lines += [f"note: {remark}" for remark in facts["remarks"]]
    lines += [
        f"forfeit: player {loss['player']}: {loss['reason']}" for loss in facts.get("forfeit", ())
    ]
    lines += _learned(facts)
    if "out" in facts:
        lines.append(f"page: {facts['out']}, {size(Path(facts['out']).stat().st_size)}")
    if "stored" in facts:
        lines.append(f"stored: {facts['stored']}")
    lines.append(
        f"{end} after {facts['frames']:,} frames "
        f"({facts['seconds']:.0f} s) in {facts['world']}, seed {facts['seed']}, "
        f"fingerprint {facts['fingerprint']}"
    )
    return "\n".join(lines)


def _learned(facts: Mapping[str, Any]) -> Iterator[str]:
    """Lines about a learned world: data, sizes, values put right, frames outside of its data."""
    learned = facts.get("learned")
    if learned is None:
        return
    everybody = [learned["world"], *learned["players"]]
    rows = [
        [each["spec"], number(each["parameters"]), each["fingerprint"] or "-"]
        for each in {each["spec"]: each for each in everybody}.values()
        if each["learned"]
    ]
    yield table(["learned", "parameters", "data"], rows)
    yield from (f"note: {remark}" for remark in learned["differences"])
    unseen = facts["unseen"]
    if unseen is None:
        yield "outside of the training data: not known, since the world carries no recorded rows"
    else:
        worst = sorted(unseen["by"].items(), key=lambda item: -item[1])[:MOST_REASONS]
        named = ", ".join(f"{name} {share(value)}" for name, value in worst)
        yield (
            f"outside of {unseen['reference']}: {share(unseen['share'])} of the frames"
            f"{f' ({named})' if named else ''}; of recordings kept out {share(unseen['held_out'])}"
        )
    count = sum(learned["put_right"].values())
    yield f"values put right: {count:,}"
