"""Migration of a card: its front matter, and the blocks that depend on it.

Results and estimate keep their figures and get the contract's new hash, with a note of the old one.
A signature stays valid only if the signed content is provably the same: the front matter differs by
names alone, and the settings, under their old names, have the signed hash.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from shadowbox.cards import card as cards
from shadowbox.cards import signatures
from shadowbox.cards.file import CardFile
from shadowbox.cards.migrate import rename_head
from shadowbox.cards.sections import flatten
from shadowbox.core import renames
from shadowbox.errors import CardError, ShadowboxError
from shadowbox.experiment import close, estimate, results, settings


def present_card(file: CardFile, games: settings.Games) -> tuple[CardFile, list[str]]:
    """The migrated card, and each change in words. Prose is unchanged."""
    if not _is_imitation(file):
        return file, []
    if edited := file.edited():
        line, name = edited[0]
        raise CardError(
            f"{file.path}:{line}: the block {name} was edited by hand: delete it, or undo that"
        )
    try:
        head, renamed = rename_head(file.head)
    except CardError as error:
        raise CardError(f"{file.path}: {error}") from None
    present = file.with_head(head)
    changes = [str(each) for each in renamed]
    for block in (_results, _estimate, _comparable):
        present, lines = block(present, file.hash)
        changes += lines
    present, lines = _signatures(file, present, games)
    return present, changes + lines


def present_results(data: Mapping[str, Any], hashes: Mapping[str, str]) -> dict[str, Any]:
    """Results with present names and unchanged figures.

    `hashes`: contract hashes, old -> new. Results of an old contract get the new hash and a note
    `moved`.
    """
    present = dict(data)
    for key in ("targets", "settings"):
        if isinstance(data.get(key), list):
            present[key] = [_present_item(item) for item in data[key]]
    for key in ("reason", "deviations"):
        if key in data:
            present[key] = _in_words(data[key])
    if (old := str(data.get("contract"))) in hashes:
        present["contract"] = hashes[old]
        present["moved"] = {"from": old, "to": hashes[old]}
    return present


def _present_item(item: Any) -> Any:
    """A target, or the results of one setting of a sweep."""
    if not isinstance(item, dict):
        return item
    present = present_results(item, {})
    for key in ("metric", "wanted"):
        if isinstance(item.get(key), str):
            present[key] = renames.rename_metric(item[key])
    if isinstance(item.get("baselines"), dict):
        present["baselines"] = renames.rename_baselines(str(item.get("metric")), item["baselines"])
    if isinstance(free := item.get("met_for_free_by"), list):
        names = dict.fromkeys(map(str, free))
        present["met_for_free_by"] = list(renames.rename_baselines(str(item.get("metric")), names))
    if isinstance(item.get("set"), dict):
        present["set"] = renames.rename_settings(item["set"])
    return present


def _in_words(text: Any) -> Any:
    if isinstance(text, list):
        return [_in_words(each) for each in text]
    return (
        renames.rename_settings_in(renames.rename_metrics_in(text))
        if isinstance(text, str)
        else text
    )


def _is_imitation(file: CardFile) -> bool:
    learner = cards.read_card(file).card.learner
    return learner in renames.LEARNERS or learner in renames.LEARNERS.values()


# ---- blocks --------------------------------------------------------------------------------------


def _results(file: CardFile, old: str) -> tuple[CardFile, list[str]]:
    data = results.stored_results(file)
    if data is None:
        return file, []
    present = present_results(data, {old: file.hash} if old != file.hash else {})
    if present == data:
        return file, []
    return file.with_block(results.BLOCK, close.block(present)), ["results: names, and their stamp"]


def _estimate(file: CardFile, old: str) -> tuple[CardFile, list[str]]:
    data = file.data(estimate.BLOCK)
    if old == file.hash or not isinstance(data, dict) or data.get("contract") != old:
        return file, []
    moved = {**data, "moved": {"from": old, "to": file.hash}}
    return estimate.with_estimate(file, moved), ["estimate: its stamp"]


def _comparable(file: CardFile, _old: str) -> tuple[CardFile, list[str]]:
    text = file.block("prior")
    present = _in_words(text)
    if text is None or present == text:
        return file, []
    return file.with_block("prior", present), ["comparable runs: names"]


def _signatures(
    before: CardFile, file: CardFile, games: settings.Games
) -> tuple[CardFile, list[str]]:
    """Move signatures of the same contract, each with a note; leave all others unchanged."""
    signed = [each for each in signatures.read_signatures(before) if each.contract == before.hash]
    if not signed:
        return file, []
    try:
        settled = resolved(file, games)
    except ShadowboxError as error:
        reason = str(error).splitlines()[0]
        return file, [f"signatures: left, and so void, for nothing can be proven: {reason}"]
    then = settings_hash_before(before, settled)
    if all(each.settings == settled.hash for each in signed) and before.hash == file.hash:
        return file, []
    moved = signatures.move_signatures(file, before, then, settled.hash)
    lines = [
        f"signature of {each.who}: "
        + (
            "kept, for the same was signed under the old names"
            if each.settings == then
            else "left, and so void: other settings were signed"
        )
        for each in signed
    ]
    return moved, lines


def resolved(file: CardFile, games: settings.Games) -> settings.RunSettings:
    """Settings of a card with present names; refuses a card with mistakes."""
    reading = cards.read_card(file)
    if reading.mistakes:
        raise CardError(cards.list_cards(file.path, reading.mistakes).splitlines()[1])
    return settings.resolve_settings(reading.card, games(reading.card.game))


def settings_hash_before(before: CardFile, settled: settings.RunSettings) -> str:
    """Hash of the same settings under their old names and in their old units."""
    old_name = {new: old for old, new in renames.SETTINGS.items()}
    given = flatten(_mapping(cards.read_card(before).head.data.get("set")))
    origins = {}
    for name, (value, origin) in settled.origins.items():
        old = old_name.get(name, name)
        if old in renames.SHARES:
            value = given.get(old, 1.0)
        if old == "train.score" and "train.score" in given:
            value = given[old]
        origins[old] = (value, origin)
    return dataclasses.replace(settled, origins=origins).hash


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
