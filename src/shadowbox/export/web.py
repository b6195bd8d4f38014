"""A learned world and a policy as one page, in which a browser plays without a server."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shadowbox.core.files import write_whole
from shadowbox.core.game import Game
from shadowbox.core.scenes.default import scene_of
from shadowbox.core.schema import Choice
from shadowbox.errors import UsageError
from shadowbox.export.check import policy_in
from shadowbox.export.onnx import require_onnx, to_onnx
from shadowbox.export.runtime import LICENSE, VERSION, runtime_files, runtime_script
from shadowbox.export.source import find_source
from shadowbox.export.steps import _StepExport, policy_step, world_step
from shadowbox.model.design import DELAY
from shadowbox.model.world.older import _OlderWorld
from shadowbox.page.document import Html, shell
from shadowbox.page.match_page import MODULES, bundle, data_block, hello
from shadowbox.play import specs
from shadowbox.play.agent import Delayed
from shadowbox.play.dream.world import DREAMER, START, _Dream
from shadowbox.play.policy_agent import DRAW

PAGE = "index.html"
OWN = ("noise", "pack", "unpack", "dream", "opponent", "network", "keys", "play_dream")
STYLES = ("style.css", "viewer.css", "play_dream.css")


class _Page(NamedTuple):
    """World, opponent and names of a page."""

    game: Game
    dream: _Dream
    agent: Any
    players: tuple[str, str]


def export_web(
    what: str, out: Path, game: Game | None = None, *, against: str = "", world: str = ""
) -> dict[str, Any]:
    """Write the folder of a page in which a person plays against a policy in a learned world.

    `what`: a world, or a policy; `against` and `world` name the other one (default: the first that
    the game ships).
    """
    require_onnx()
    page = _page_of(what, game, against, world)
    steps = {
        "world": world_step(page.dream.model),
        "policy": _opponent_step(policy_in(page.agent)),
    }
    script, code = runtime_files()
    data = _data(page, steps, {name: to_onnx(step) for name, step in steps.items()}, code)
    text = page_text(page, data, script)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / PAGE, text.encode())
    return {
        "out": str(out / PAGE),
        "bytes": len(text.encode()),
        "world": page.dream.name,
        "against": page.players[1],
        "runtime": f"onnxruntime-web {VERSION} ({LICENSE})",
    }


def _page_of(what: str, game: Game | None, against: str, world: str) -> _Page:
    """World and policy of a page, loaded; what the page cannot do is refused."""
    source = find_source(what, game)
    game = source.game
    if source.kind not in ("world", "policy"):
        raise UsageError(f"'{what}' is a {source.kind}; expected a world or a policy")
    if source.kind == "world":
        world, against = source.spec, against or _shipped(game, "policy")
    else:
        world, against = world or _shipped(game, "dream"), source.spec
    kinds = {game.schema.columns[key].field.kind for key in game.schema.control_keys}
    if game.schema.players != 2 or kinds != {"flag"}:
        raise UsageError(f"{game.name}: a page takes games of two players whose controls are keys")
    if game.repairs is not None and game.repairs_script is None:
        raise UsageError(f"{game.name} repairs rows in Python alone: it needs a repairs_script")
    dream, agent = specs.world(world, game, 1), specs.agent(against, game)
    if not isinstance(dream, _Dream) or isinstance(dream.model, _OlderWorld):
        raise UsageError(f"'{world}': expected one learned world of a present kind, dream:RUN")
    if (dream.model.context_length.numpy()[dream._starts] != 1).any():
        raise UsageError(f"'{dream.name}': a page begins at starts of matches: leave start=any out")
    policy_in(agent)
    # the page has a choice of delays
    name = "@".join(each for each in against.split("@") if not each.startswith("delay="))
    return _Page(game, dream, agent, ("you", name))


def _shipped(game: Game, prefix: str) -> str:
    names = sorted(game.policies if prefix == "policy" else game.worlds)
    if not names:
        option = "--against policy:RUN" if prefix == "policy" else "--world dream:RUN"
        raise UsageError(f"{game.name} ships none: name {option}")
    return f"{prefix}:{names[0]}"


def _opponent_step(agent: Any) -> _StepExport:
    return policy_step(agent.policy, agent.temperatures, agent.style)


# ---- data of the page ----------------------------------------------------------------------------


def _data(
    page: _Page, steps: Mapping[str, _StepExport], models: Mapping[str, bytes], code: bytes
) -> dict[str, Any]:
    game, dream = page.game, page.dream
    greeting = hello(
        game.schema,
        scene_of(game),
        players=page.players,
        world=dream.name,
        event_kinds=game.event_kinds,
        event_whats=game.event_whats,
    )
    return {
        "hello": greeting,
        "world": {**_world(page), "step": _step(steps["world"], models["world"])},
        "policy": {**_policy(page), "step": _step(steps["policy"], models["policy"])},
        "runtime": _packed(code),
    }


def _world(page: _Page) -> dict[str, Any]:
    """Description of the world, for page/dream.js."""
    game, dream = page.game, page.dream
    layout, dynamics, model = dream.layout, dream.dynamics, dream.model
    starts = model.contexts.numpy()[dream._starts]
    key, equals, word = dynamics.over.partition("=")
    names = _names(game, key)
    winner = next((k for k, rule in dynamics.rules.items() if rule.startswith("winner ")), "")
    memory = model.initial(1, model.contexts.device)
    return {
        "spec": dream.name,
        "layout": {"reals": layout.reals, "flags": layout.flags, "choices": layout.choices},
        "outside": list(layout.outside),
        "memory": [{"name": k, "shape": list(v.shape)} for k, v in memory.items()],
        "draws": model.heads.draws,
        "dreamer": DREAMER,
        "start": START,
        "seeds": list(dynamics.seed),
        "starts": _packed(np.ascontiguousarray(starts[:, -1]).tobytes()),
        "over": {"key": key, "value": names.index(word) if equals else 1},
        "winner": winner,
        "longest": dream.longest,
        "events": list(_events(game, dynamics.events)),
    }


def _events(game: Game, triggers: Mapping[str, str]) -> Any:
    """Events that the viewer knows, as triggers on two frames."""
    for name, text in triggers.items():
        verb, _, what = text.partition(" ")
        key, _, word = what.partition("=")
        if name in game.event_kinds:
            value = _names(game, key).index(word) if word else 0
            yield {"kind": game.event_kinds.index(name), "verb": verb, "key": key, "value": value}


def _names(game: Game, key: str) -> list[str]:
    field = game.schema.columns[key].field if key else None
    return list(field.names) if isinstance(field, Choice) else []


def _policy(page: _Page) -> dict[str, Any]:
    """Description of the policy, for page/opponent.js."""
    agent, policy = page.agent, policy_in(page.agent).policy
    columns = policy.schema.columns
    memory = {k: v for k, v in policy.initial(1).items() if v.numel()}
    late = bool(policy.config.delays)
    delay = agent.frames if isinstance(agent, Delayed) else 0
    return {
        "spec": page.players[1],
        "reads": {
            key: {
                "per": bool(columns[key].group.per),
                "seat": isinstance(f := columns[key].field, Choice) and f.seat,
            }
            for key in policy.reads
        },
        "controls": list(policy.schema.control_keys),
        "memory": [
            {"name": k, "shape": list(v.shape), "type": str(v.dtype).removeprefix("torch.")}
            for k, v in memory.items()
        ],
        "repeat": policy.config.repeat,
        "draws": policy.draws,
        "first": DRAW,
        "late": DELAY if late else "",
        "delay": delay,
        "delays": sorted({0, delay, *policy.config.delays}),
    }


def _step(step: _StepExport, model: bytes) -> dict[str, Any]:
    inputs = [
        {"name": name, "shape": list(v.shape), "type": str(v.dtype).removeprefix("torch.")}
        for name, v in step.inputs.items()
    ]
    return {"model": _packed(model), "inputs": inputs}


def _packed(content: bytes) -> str:
    """Bytes as base64 of gzip, without a time stamp: the same export gives the same file."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


# ---- text of the page ----------------------------------------------------------------------------


def page_text(page: _Page, data: Mapping[str, Any], runtime: str) -> str:
    """Text of the one file, with everything inside."""
    script = "\n".join(
        [
            runtime_script(runtime),
            page.game.repairs_script() if page.game.repairs_script else "const $repair = () => {};",
            bundle([*MODULES, *OWN]),
        ]
    )
    title = f"{page.game.name}: a dream"
    body = Html(_body(page, data) + data_block("dream", data))
    return shell(title, body, styles=STYLES, script=script, compiled=True)


def _body(page: _Page, data: Mapping[str, Any]) -> str:
    about, delay = data["policy"], data["policy"]["delay"]
    fps = page.game.schema.fps
    options = "".join(
        f'<option value="{each}"{" selected" * (each == delay)}>'
        f"{'at once' if not each else f'{1000 * each / fps:.0f} ms'}</option>"
        for each in (about["delays"] if about["late"] else [0, 6, 12, 18])
    )
    keys = "".join(
        f'<div class="binding"><button type="button" data-control="{escape(key)}" '
        f'aria-label="key for {escape(doc)}">…</button><span>{escape(doc)}</span></div>'
        for key, doc in (
            (f"{group.name}/{field.name}", field.doc or field.name)
            for group in (page.game.schema.controls,)
            for field in group.fields
        )
    )
    return f"""<main class="dream-page">
<p class="about"><b>A dream:</b> a learned world draws every frame. You play against
<code>{escape(page.players[1])}</code>. Everything runs in this page; nothing is sent.</p>
<div class="stage-of"><p id="prompt" role="status">Loading…</p>
<match-viewer behind="0"></match-viewer></div>
<div id="touch" aria-label="keys for fingers"></div>
<section class="under"><div id="again"></div>
<label>Opponent reacts <select id="reaction">{options}</select></label>
<p id="status" role="status"></p></section>
<details id="keys" open><summary>Keys</summary><div class="bindings">{keys}</div></details>
</main>"""
