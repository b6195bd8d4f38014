"""Checks of the doctor about memory and time."""

from __future__ import annotations

import math
from statistics import median

from shadowbox.evaluate.diagnosis.files import _Check, _Files, _Finding, _registering

SLOW = 100.0  # frames a second
CHECKS: list[_Check] = []
_check = _registering(CHECKS)


# ---- 5 and 6: memory and time --------------------------------------------------------------------


@_check(
    "memory", "5", "memory is nearly full, or ran out (`out of memory`)",
    "over 85 % of the machine's memory, or a batch that had to be halved",
    "lower learner.batch_size, then learner.n_steps, then model.width; keep fewer learner.snapshots",
)  # fmt: skip
def _memory(files: _Files) -> _Finding | None:
    halved = sum(each.get("event") == "halve" for each in files.events)
    cost, machine = (files.facts.get(name) or {} for name in ("cost", "machine"))
    used, there = cost.get("memory_bytes"), machine.get("memory_bytes")
    if not halved and not (used and there):
        return None
    share = used / there if used and there else math.nan
    words = f"{share:.0%} of the machine's memory; halved {halved} times"
    return _Finding(halved > 0 or share > 0.85, share, words)


PARTS = {  # part of the loop's time -> what to change
    "rollouts": (("data",), "play fewer, longer rollouts side by side: raise train.batch; bots "
                 "that the world compiles are faster than other agents"),
    "updates": (("transfer", "forward", "backward", "optimizer"),
                "lower learner.n_epochs, choose a smaller preset, raise learner.batch_size"),
    "waiting": (("wait",), "the device is the limit: precision: bf16, or a smaller model"),
    "logging": (("log",), "raise train.log_every"),
    "saving": (("save",), "raise train.save_every"),
    "validation": (("validate",), "raise train.validate_every"),
}  # fmt: skip


@_check(
    "slow", "6", "a step takes too long",
    f"below {SLOW:g} frames a second, or over 30 % of the time for logging, saving and validation",
    "what takes the time is named with the figure: rollouts (train.batch), updates "
    "(learner.n_epochs), logging (train.log_every), saving (train.save_every)",
)  # fmt: skip
def _slow(files: _Files) -> _Finding | None:
    lines = [line for line in files.lines if line["kind"] == "train"][1:]  # the first one warms up
    spent = {
        name: sum(float(line.get(f"time/{each}") or 0.0) for line in lines for each in each_of)
        for name, (each_of, _) in PARTS.items()
    }
    total = sum(spent.values())
    rates = [float(line["examples_per_s"]) for line in lines if line.get("examples_per_s")]
    if not rates or not total:
        return None
    per_match = files.setting("learner.n_steps", 1.0) * files.setting("model.repeat", 1.0)
    speed = median(rates) * per_match
    aside = sum(spent[name] for name in ("logging", "saving", "validation")) / total
    names = ("logging", "saving", "validation") if aside > 0.3 else tuple(spent)
    worst = max(names, key=spent.__getitem__)
    words = f"{speed:,.0f} frames a second; {spent[worst] / total:.0%} of the time is {worst}"
    sick = speed < SLOW or aside > 0.3
    return _Finding(sick, speed, f"{words}: {PARTS[worst][1]}" if sick else words)
