"""A policy judged from end to end: the numbers, the verdict beside the checkpoint, the page, the command."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from judging import BRAWL, SHORT, run, store

from shadowbox import cli
from shadowbox.cli.text.evaluation import evaluation_text
from shadowbox.core.evaluation import read_evaluation
from shadowbox.core.metrics import METRICS, metric_of
from shadowbox.data.split import Split
from shadowbox.data.store import Store
from shadowbox.errors import UsageError
from shadowbox.evaluate import closed_loop, recorded
from shadowbox.evaluate.calibrate import COPIES, calibrate_checkpoint
from shadowbox.evaluate.policy import evaluate
from shadowbox.evaluate.probe import probe_policy
from shadowbox.evaluate.setup import EvalConfig
from shadowbox.model import checkpoint
from shadowbox.play import checkpoints, specs
from shadowbox.report.evaluation import evaluation_page

GATE = "behavior gate"
QUICK = EvalConfig(matches=4, most=3, split=Split(0.5, 0.5, 0.0))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twelve short matches."""
    return store(tmp_path_factory.mktemp("data") / "s")


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A run whose policy never presses."""
    return run(tmp_path_factory.mktemp("runs") / "still", still=True)


@pytest.fixture(scope="module")
def judged(data, still):
    """Its evaluation."""
    return evaluate(still, data, QUICK, game=SHORT)


def test_a_policy_that_never_presses_fails_where_it_does(judged):
    """Every used button is named with a ratio of 0, and no onset is scored.

    Older systems' metric calls it good.
    """
    assert not judged.gate.passed
    assert {c.button for c in judged.gate.controls if c.used} >= {"keys/j", "keys/a", "keys/d"}
    assert all("0.00 times as often" in why for why in judged.gate.why)
    assert judged.offline["onset_f1_sampled"].value.value == 0
    assert judged.offline["press_accuracy"].value.value > 0.8
    flat = judged.metrics()
    assert (flat["eval/gate"], flat["eval/press_ratio_max"], flat["eval/onset_ratio_min"]) == (
        0,
        0,
        0,
    )
    assert flat["eval/win_rate_gap"] <= 0
    assert flat["eval/press_ratio.keys/j/look_up"] > 0.3
    assert all(np.isfinite(value) for value in flat.values())


def test_every_figure_has_its_baselines(judged):
    """Each figure belongs to a declared metric of its part, and has all of that metric's baselines."""
    parts = {
        "offline": judged.offline,
        "closed_loop": judged.closed_loop,
        "gate": judged.gate.figures(),
    }
    for part, figures in parts.items():
        for name, figure in figures.items():
            assert metric_of(name).where == part
            assert set(figure.baselines) == set(metric_of(name).baselines), name
    found = {name.partition(".")[0] for figures in parts.values() for name in figures}
    # no sticks here
    assert found == {metric.name for metric in METRICS if metric.where in parts} - {
        "controller_nll",
        "stick_nll",
        "stick_change_error",
        "stick_error",
    }
    for baseline in ("copy_last", "never_press"):
        assert judged.closed_loop["press_ratio.keys/j"].baselines[baseline] == (0, 0, 0)


def test_logits_at_an_empty_frame_and_at_recorded_ones(judged, data):
    """A policy that never presses has logits of -16 everywhere.

    The page shows them beside the rate of the data.
    """
    row = judged.to_json()["press_logits"]["keys/j"]
    assert row["empty_logit"] == row["logit"] == pytest.approx(-16.1, abs=0.1)
    assert row["empty_probability"] == pytest.approx(0, abs=1e-6)
    assert row["probability"] == pytest.approx(0, abs=1e-6)
    held = QUICK.split.episodes(Store(data), "val")[: QUICK.most]
    down = [seat.down["keys/j"] for seat in recorded.load_seats(Store(data), held)]
    assert row["rate"] == pytest.approx(np.concatenate(down).mean())
    page = evaluation_page(judged)
    assert "logit, empty frame" in page
    assert f"{row['rate']:.4f}" in page


def test_the_verdict_lies_beside_the_checkpoint(judged, still):
    """`--json` prints the content of the checkpoint's report, and agents of the checkpoint are marked."""
    folder = checkpoints.checkpoint_folder(str(still))
    assert json.loads((folder / checkpoints.FILE).read_text()) == json.loads(
        json.dumps(judged.to_json())
    )
    assert checkpoint.load(folder).step == 1
    assert specs.agent(f"policy:{still}", BRAWL).mark.startswith("failed the behavior gate: keys/")


def test_an_evaluation_has_one_shape(judged, still, data):
    """Kind, spec, store, gate and figures come first.

    The file beside the checkpoint reads back as the same.
    """
    found = judged.to_json()
    assert list(found)[:5] == ["kind", "spec", "store", "gate", "figures"]
    assert (found["kind"], found["store"]) == ("policy", str(data))
    assert found["figures"].keys() == {*judged.offline, *judged.closed_loop, *judged.gate.figures()}
    assert specs.agent(found["spec"], BRAWL)
    read = read_evaluation(checkpoints.checkpoint_folder(str(still)))
    assert read.to_json() == json.loads(json.dumps(found))
    assert read.metrics() == judged.metrics()


@pytest.mark.slow
def test_judging_again_says_the_same(judged, data, still):
    """The same checkpoint, store and settings give the same numbers to the last bit."""
    assert evaluate(still, data, QUICK, game=SHORT).to_json() == judged.to_json()


def test_it_sits_in_the_chairs_of_recorded_players(judged):
    """It meets the recorded opponents, in both seats, and its demonstrators play the same matches."""
    facts = judged.to_json()
    assert facts["opponents"] == ["aggressive", "based"]
    assert facts["seats"] == [0, 1]
    assert facts["matches"] == 4
    assert "demonstrator" in judged.closed_loop["win_rate.based"].baselines


def test_another_opponent_can_be_named(data, still):
    """With `against` it meets that agent from every seat, on the same seeds as its demonstrator."""
    found = evaluate(still, data, dataclasses.replace(QUICK, against="constant"), game=SHORT)
    assert found.to_json()["opponents"] == ["constant"]
    assert "win_rate.constant" in found.closed_loop


def test_a_game_without_a_simulator_is_judged_one_frame_ahead(data, still):
    """Without a world, presses are drawn on recorded contexts, and the result says so.

    Wishes about matches are refused, and no figure without a value is printed.
    """
    bare, asked = dataclasses.replace(BRAWL, world=None), dataclasses.replace(QUICK, matches=None)
    for wish in ({"matches": 4}, {"against": "based"}):
        with pytest.raises(
            UsageError, match=f"brawl has no simulator.* Leave {next(iter(wish))} out"
        ):
            evaluate(still, data, dataclasses.replace(asked, **wish), game=bare)
    found = evaluate(still, data, asked, game=bare)
    assert found.how.startswith("recorded contexts, one frame ahead")
    context = found.report().context
    assert ("closed_loop_is" in context, context["one_frame_ahead"]) == (False, found.how)
    text = evaluation_text(found.report())
    assert "nan" not in text
    assert "closed loop" not in text
    assert f"the {GATE} (recorded contexts, one frame ahead) is FAILED; " in text
    assert "as near to the data without learning (the policy: " in text
    control = next(control for control in found.gate.controls if control.button == "keys/j")
    assert control.onset.value == 0  # it begins nothing, whatever was held
    assert found.closed_loop["press_ratio.keys/j"].baselines["copy_last"].value == 1
    assert not found.gate.passed
    assert not any(name.startswith(("win_rate", "state_distance")) for name in found.closed_loop)


def test_policies_learned_from_one_seat_are_judged_there(data, tmp_path):
    """The legacy preset learned from the first seat, so that is whose play it is compared with."""
    found = evaluate(
        run(tmp_path / "r", "policy-mlp", width=16, trunk_width=16), data, QUICK, game=SHORT
    )
    assert found.to_json()["seats"] == [0]
    assert found.to_json()["opponents"] == ["aggressive"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (EvalConfig(split=Split(1.0, 0.0, 0.0)), "0 of its 12 episodes are on the side 'val'"),
        (EvalConfig(side="all", most=20), "none is left for the look-up table"),
    ],
)
def test_stores_that_cannot_judge(data, still, settings, message):
    """Too few episodes are refused before anything is played."""
    with pytest.raises(UsageError, match=message):
        evaluate(still, data, settings, game=SHORT)


def test_a_style_is_judged_on_its_own_player(data, tmp_path):
    """Told whose style, it is asked and played in that one, in that player's chairs.

    Who never sat there cannot be judged.
    """
    told = run(tmp_path / "r", players=("based", "aggressive", "kiter"))
    found = {name: evaluate(told, data, dataclasses.replace(QUICK, player=name), game=SHORT).to_json()
             for name in ("", "based", "aggressive")}  # fmt: skip
    assert [each["player"] for each in found.values()] == [None, "based", "aggressive"]
    assert [each["opponents"] for each in found.values()] == [
        ["aggressive", "based"],
        ["aggressive"],
        ["based"],
    ]
    onsets = {
        name: each["gate"]["controls"]["keys/j"]["onsets_in_data"] for name, each in found.items()
    }
    assert onsets[""] == onsets["based"] + onsets["aggressive"]
    assert len({each["figures"]["nll"]["value"] for each in found.values()}) == 3
    with pytest.raises(UsageError, match="0 of its 0 episodes of 'kiter' are on the side 'val'"):
        evaluate(told, data, dataclasses.replace(QUICK, player="kiter"), game=SHORT)
    with pytest.raises(UsageError, match="nothing on the side 'val' to choose temperatures from"):
        calibrate_checkpoint(told, data, dataclasses.replace(QUICK, player="kiter"))
    with pytest.raises(UsageError, match="no style of 'kite': did you mean 'kiter'"):
        evaluate(told, data, dataclasses.replace(QUICK, player="kite"), game=SHORT)
    with pytest.raises(UsageError, match="trained without players"):
        evaluate(run(tmp_path / "s"), data, dataclasses.replace(QUICK, player="based"), game=SHORT)


def test_nothing_is_judged_on_what_it_learned_from(data, tmp_path):
    """A run is judged on the episodes that it held back, as its own split says.

    Shares that mix them up are refused.
    """
    trained, split = run(tmp_path / "r"), Split(0.5, 0.5, 0.0)
    facts = {"fingerprint": Store(data).fingerprint, "split": split.to_json()}
    (trained / "run.json").write_text(json.dumps(facts))
    held = split.episodes(Store(data), "val")
    found = evaluate(
        trained, data, dataclasses.replace(QUICK, split=None, most=20), game=SHORT
    ).to_json()
    assert (found["episodes"], found["split"]) == (len(held), "50/50/0")
    other = dataclasses.replace(QUICK, split=Split(0.5, 0.5, 0.0, seed=1))
    with pytest.raises(
        UsageError,
        match=r"on the side 'val' of 50/50/0, seed 1 were trained on: the run split .* as 50/50/0",
    ):
        evaluate(trained, data, other, game=SHORT)
    with pytest.raises(UsageError, match="were trained on"):
        calibrate_checkpoint(trained, data, other)
    assert (
        evaluate(trained, data, dataclasses.replace(other, side="train"), game=SHORT).facts["side"]
        == "train"
    )


@pytest.mark.slow
def test_recordings_of_people_need_an_opponent(tmp_path, still):
    """Opponents that cannot be called by name are not guessed: one must be named."""
    from shadowbox.core.episode import Episode
    from shadowbox.data.store import Store
    from shadowbox.data.write import Writer

    with Writer(tmp_path / "s", BRAWL.schema, event_kinds=BRAWL.event_kinds) as writer:
        for episode in Store(store(tmp_path / "bots", 8)):
            writer.add(
                Episode(episode.columns, {**episode.meta, "players": ["Ann", "Bo"]}, episode.events)
            )
    with pytest.raises(
        UsageError, match="no opponent in its episodes can be called by name; name one: --against"
    ):
        evaluate(still, tmp_path / "s", QUICK, game=SHORT)
    found = evaluate(still, tmp_path / "s", dataclasses.replace(QUICK, against="based"), game=SHORT)
    assert "win_rate_gap" not in found.closed_loop


def test_the_page_shows_it(judged, visit, tmp_path):
    """The report opens without an error, says its verdict, and its clips play."""
    path = tmp_path / "report.html"
    path.write_text(evaluation_page(judged))
    page = visit(path)
    assert page.locator(".badge").first.inner_text() == "gate failed"
    page.wait_for_selector("figure.clip canvas")
    assert page.locator("figure.clip").count() == 4
    viewers = "[...document.querySelectorAll('match-viewer')]"
    page.wait_for_function(f"{viewers}.every(v => v.querySelector('canvas'))")
    assert page.locator(".broken").count() == 0
    page.get_by_text("Where this comes from").click()
    origin = page.locator("details", has_text="Where this comes from").inner_text()
    assert "drawn at temperature 1" in origin
    assert "flags 1" in origin
    assert "None" not in origin


def test_the_page_of_a_game_without_a_simulator_shows_its_controls(data, tmp_path, visit):
    """Without a simulator, clips show recordings with predicted controls beside the recordings."""
    pressing = run(tmp_path / "r", "policy-mlp", width=16, trunk_width=16)
    path = tmp_path / "report.html"
    path.write_text(
        evaluation_page(
            evaluate(
                pressing,
                data,
                dataclasses.replace(QUICK, matches=None),
                game=dataclasses.replace(BRAWL, world=None),
            )
        )
    )
    page = visit(path)
    page.wait_for_selector("figure.clip canvas")
    assert page.locator("figure.clip").count() == 4
    assert "the policy's controls: s#" in page.locator("figure.clip").first.inner_text()
    assert "The rest of the play" not in page.content()
    assert "never pressing has 0 and 0" in page.content()
    roll = page.locator("svg.rolls")
    assert {"w", "a", "s", "d", "space", "h", "j", "k"} <= set(
        roll.locator("text").all_text_contents()
    )
    for tone in ("baseline", "p1"):
        assert roll.locator(f"rect.{tone}").count() > 10


def test_answers_take_the_place_of_controls(data):
    """An episode in somebody's hands has that seat's controls as answered and everything else as recorded."""
    shown = Store(data)
    seat = next(iter(recorded.load_seats(shown, [3], [1])))
    flipped = {name: ~down for name, down in seat.down.items()}
    answer = recorded.SeatAnswer({}, flipped, {}, np.zeros(seat.frames))
    columns = shown.episode(3).columns
    found = recorded.press_values(shown.schema, columns, seat, answer)
    for key, values in found.items():
        if key in flipped:
            assert (values[:-1, 1] == ~columns[key][:-1, 1]).all()
            assert (values[:, 0] == columns[key][:, 0]).all()
        else:
            assert (values == columns[key]).all()


def test_calibration_is_stored_and_played(data, tmp_path):
    """Temperatures of each group and thresholds of each button are in the checkpoint's config.

    An agent plays by them.
    """
    where = run(tmp_path / "r", "policy-mlp", width=16, trunk_width=16)
    made = calibrate_checkpoint(where, data, QUICK, game=SHORT)
    folder = checkpoints.checkpoint_folder(str(where))
    assert checkpoint.load(folder).calibration == json.loads(json.dumps(made.to_json()))
    assert set(made.thresholds) == set(BRAWL.schema.control_keys)
    assert made.thresholds["keys/g"].f1 is None
    agent = specs.agent(f"policy:{where}@threshold", BRAWL)
    assert agent.limits.shape == (10, 2)
    shifted = specs.agent(f"policy:{where}@bias@bias=-2.5", BRAWL).policy.head.parts[0].bias
    assert shifted.tolist() == pytest.approx([fit.offset - 2.5 for fit in made.offsets.values()])
    assert specs.agent(f"policy:{where}@0.5", BRAWL).temperatures[0] == pytest.approx(
        0.5 * made.temperatures["flags"].temperature * made.play.temperature
    )
    assert not list(folder.parent.glob(".*")), "nothing is left behind"


def test_thresholds_are_chosen_on_views_that_are_changed_as_in_training(data, tmp_path):
    """Each seat counts several times, each time with a change of its own."""
    where, told = run(tmp_path / "r", "policy-mlp", width=16, trunk_width=16), []

    def changes(folder, schema):
        assert folder == checkpoints.checkpoint_folder(str(where))
        return lambda view, seed: (
            told.append(seed) or {k: np.zeros_like(v) for k, v in view.items()}
        )

    usual = calibrate_checkpoint(where, data, QUICK, game=SHORT)
    made = calibrate_checkpoint(where, data, QUICK, game=SHORT, changes=changes)
    seats = {seed // COPIES for seed in told}
    assert seats <= set(QUICK.split.episodes(Store(data), "val").tolist())
    assert sorted(told) == [
        COPIES * seat + copy for seat in sorted(seats) for copy in range(COPIES)
    ]
    assert len(seats) > 2
    assert made.temperatures != usual.temperatures
    assert calibrate_checkpoint(
        where, data, QUICK, game=SHORT, changes=lambda *_: None
    ) == calibrate_checkpoint(where, data, QUICK, game=SHORT)


def test_the_temperature_of_play_is_chosen_elsewhere(data, tmp_path, monkeypatch):
    """The temperature of play is never fitted in episodes of the evaluated side."""
    sat = []
    chairs = closed_loop.recorded_seats
    monkeypatch.setattr(
        closed_loop,
        "recorded_seats",
        lambda game, store, episodes, *more: (
            sat.extend(episodes) or chairs(game, store, episodes, *more)
        ),
    )
    calibrate_checkpoint(run(tmp_path / "r"), data, dataclasses.replace(QUICK, most=2), game=SHORT)
    held = QUICK.split.episodes(Store(data), "val").tolist()
    assert len(held) > 2
    assert sat == sorted(set(range(12)) - set(held))


def test_a_frame_under_the_glass(data, tmp_path):
    """Probabilities, logits and inputs of a recorded frame are told, and nothing is wrong with it."""
    found = probe_policy(run(tmp_path / "r"), f"{data}#3:40", player=1)
    assert set(found.buttons) == set(BRAWL.schema.control_keys)
    button = found.buttons["keys/j"]
    assert button["logit"] == pytest.approx(
        np.log(button["probability"] / (1 - button["probability"])), rel=1e-3
    )
    assert {"player/x[0]", "player/x[1]"} <= set(found.inputs)
    assert found.warning == ""
    json.dumps(found.to_json(), allow_nan=False)


def test_a_made_up_frame_is_warned_of(data, still, tmp_path):
    """The all-zero frame that misled the originals is nothing that a recording contains, and that is said.

    Without a store it is compared with that of the run.
    """
    found = probe_policy(still, "zeros", data=data)
    assert found.strange
    assert "no recording has such a frame" in found.warning
    trained = run(tmp_path / "r", still=True)
    (trained / "run.json").write_text(json.dumps({"store": str(data)}))
    assert probe_policy(trained, "zeros").to_json() == found.to_json()
    (trained / "run.json").write_text(json.dumps({"store": "gone"}))
    with pytest.raises(UsageError, match="the run's own store is not here: name the STORE"):
        probe_policy(trained, "zeros")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nowhere", "a frame is named as in"),
        ("{}#3", "a frame is named as in"),
        ("{}#3:99999", "has no frame 99999"),
        ("{}#99:1", "has no episode 99"),
        ("zeros", "name the STORE"),
    ],
)
def test_frames_that_are_none(data, still, where, message):
    """What is no frame is refused in one line."""
    with pytest.raises(UsageError, match=message):
        probe_policy(still, where.format(data))


def shown(capsys, *arguments):
    """What a command prints, and its exit status."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    return capsys.readouterr().out, stop.value.code


@pytest.mark.slow
def test_the_command(data, still, tmp_path, capsys):
    """`eval` prints one object with the gate, both parts and intervals.

    As a table it ends with the verdict.
    """
    options = [
        "--game",
        "judging:SHORT",
        "--shares",
        "50/50/0",
        "--matches",
        "4",
        "--episodes",
        "3",
    ]
    out, status = shown(
        capsys, "eval", still, data, *options, "--out", tmp_path / "r.html", "--json"
    )
    found = json.loads(out)
    assert status == 0
    assert found["gate"]["passed"] is False
    assert found["gate"]["controls"]["keys/j"]["press_ratio"]["value"] == 0
    every = list(found["figures"].values())
    assert all(set(figure) == {"value", "low", "high", "baselines"} for figure in every)
    assert found["closed_loop_is"] == "4 matches, in the chairs of recorded players"
    assert (tmp_path / "r.html").stat().st_size > 50_000
    text, status = shown(capsys, "eval", still, data, *options)
    assert status == 0
    assert "the behavior gate is FAILED" in text.strip().splitlines()[-1]
    out, status = shown(capsys, "eval", still, "--probe", f"{data}#3:40", "--json")
    assert json.loads(out)["buttons"]["keys/j"]["pressed"] in (True, False)
    out, status = shown(capsys, "eval", still, "--calibrate")
    assert status == 2, "what is fitted is fitted to recordings"
