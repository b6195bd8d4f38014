"""`shadowbox export warehouse`: a policy as the one file of the Warehouse Brawl tournament."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shadowbox.cli.terminal import PATH, SEED, at_least, emit, json_option


@click.command()
@click.argument("what", metavar="RUN")
@click.option("--out", type=PATH, required=True, help="File to write, such as my_agent.py.")
@click.option(
    "--check",
    is_flag=True,
    help="Feed the file recorded and random observations, compare it with PyTorch, and time it.",
)
@click.option(
    "--rows", default=1000, show_default=True, type=at_least(1), help="Observations of that check."
)
@click.option(
    "--matches",
    default=0,
    show_default=True,
    type=at_least(0),
    help="Matches of the file and of the policy against a bot, half of them from either seat.",
)
@click.option("--opponent", default="based", show_default=True, help="Bot of the checks.")
@click.option(
    "--world", default="brawl@rules=original", show_default=True, help="World of the checks."
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="First seed of the matches.")
@click.option("--game", "named", help="Game of the run.  [default: the one in its checkpoint]")
@json_option
def warehouse(what: str, out: Path, named: str | None, as_json: bool, **options: Any) -> None:
    """Write RUN as one file that needs NumPy alone: 64 numbers in, ten keys out.

    RUN is a run, a checkpoint, or a policy that ships. The policy must read what the 64 numbers
    tell, and its own keys: one that was trained with the encoding `warehouse`.
    """
    from shadowbox.export.warehouse import export_warehouse
    from shadowbox.games import load

    facts = export_warehouse(what, out, load(named) if named else None, **options)
    if as_json:
        emit(facts)
    else:
        click.echo(_text(facts))


def _text(facts: dict[str, Any]) -> str:
    lines = [f"written: {facts['out']} ({facts['bytes']:,} bytes)"]
    if check := facts.get("check"):
        for name in ("recorded", "random"):
            each = check[name]
            lines.append(
                f"{name} observations: {each['decisions']:,} decisions, largest difference from "
                f"PyTorch {each['largest']:.1e}"
            )
        lines.append(f"a decision: {check['p50_ms']:.2f} ms, p99 {check['p99_ms']:.2f} ms")
    if play := facts.get("play"):
        own, plain, gap = play["wins"], play["policy"], play["difference"]
        lines.append(
            f"against {play['opponent']} in {play['world']}, {play['matches']} matches: the file wins "
            f"{own['value']:.3f}, the policy {plain['value']:.3f}, difference {gap['value']:+.3f} "
            f"({gap['low']:+.3f} .. {gap['high']:+.3f})"
        )
    return "\n".join(lines)
