"""The language of kill rules, and the guard that obeys them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowbox.cards.rules import grammar
from shadowbox.cards.rules.monitor import Rule, RuleMonitor


def fired(rule, values, *, metric="val/loss", every=10, total=None, per_epoch=20, **more):
    """The steps at which a rule fires, shown a metric's values every so many steps."""
    kind, _, name = metric.partition("/")
    guard = RuleMonitor([Rule(rule, **more)], total or every * len(values), per_epoch)
    steps = []
    for at, value in enumerate(values, start=1):
        steps += [firing.step for firing in guard.see(kind, at * every, {name: value})]
    return steps


@pytest.mark.parametrize(
    ("rule", "again"),
    [
        ("val/loss > 0.03", "val/loss > 0.03"),
        ("val/acc<95%", "val/acc < 0.95"),
        ("ratio(train/a,train/b)>=3", "ratio(train/a, train/b) >= 3"),
        ("rolling_mean(train/loss, 5) > 1e3", "rolling_mean(train/loss, 5) > 1000"),
        ("no_decrease(val/loss)", "no_decrease(val/loss)"),
        (
            "nonfinite(train/loss) or no_increase(val/f1)",
            "nonfinite(train/loss) or no_increase(val/f1)",
        ),
        ("(val/a > 1 or val/b > 2) and val/c < -3", "(val/a > 1 or val/b > 2) and val/c < -3"),
        ("val/x/pad/a > val/x/copy_last", "val/x/pad/a > val/x/copy_last"),
        ("val/a!=0 and val/b = 1", "val/a != 0 and val/b = 1"),
        ("val/a in 1..2.5", "val/a in 1 .. 2.5"),
        ("val/a not in (1, -2.5, 4 .. 50)", "val/a not in (1, -2.5, 4 .. 50)"),
        ("ratio(val/a, val/b) not in (50% .. 2)", "ratio(val/a, val/b) not in 0.5 .. 2"),
        ("val/a in (3)", "val/a in (3)"),
    ],
)
def test_reads(rule, again):
    """A rule is read, and says again what it means."""
    assert str(grammar.parse_rule(rule)) == again
    assert str(grammar.parse_rule(again)) == again


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ("", "at the end"),
        ("val/loss", "a comparison needs"),
        ("loss > 1", "a number, a metric such as val/loss"),
        ("val/loss > ", "at the end"),
        ("val/loss > 1 and", "at the end"),
        ("val/loss > 1 val/b > 2", "goes on with `and` or `or`"),
        ("val/a in 3", "'..' is needed"),
        ("val/a in (1, 4 .. 3)", "the range 4 .. 3 is empty"),
        ("val/a not 3", "`in` or `not in`"),
        ("val/a in ()", "a number is needed"),
        ("val/a in (1, val/b)", "a number is needed"),
        ("rolling_mean(val/loss, 0) > 1", "a count from 1"),
        ("rolling_mean(val/loss, 1e9) > 1", "a count from 1"),
        ("no_decrease(3)", "a metric such as val/loss"),
        ("__import__('os')", "is needed"),
        ("(" * 30 + "val/a > 1" + ")" * 30, "parentheses"),
        ("val/a > 1 or " * 60 + "val/a > 1", "at most 400 letters"),
    ],
)
def test_refuses(rule, complaint):
    """What is no rule is refused with what stands where, and is never executed."""
    with pytest.raises(grammar.RuleError, match=complaint.replace("(", r"\(")):
        grammar.parse_rule(rule)


@given(
    st.text(alphabet="val/loss no_decrease()<>=!.,%0123456789andor ratio in", max_size=60)
    | st.text(max_size=60)
)
def test_any_text_is_a_rule_or_refused(text):
    """No text makes the parser do anything but answer or refuse."""
    try:
        condition = grammar.parse_rule(text)
    except grammar.RuleError:
        return
    assert str(grammar.parse_rule(str(condition))) == str(condition)
    for step in range(3):
        condition.see(step, dict.fromkeys(condition.metrics, float(step)))
        condition.since()


def test_comparison():
    """A comparison fires at the first line at which it holds, and again only after it did not."""
    assert fired("val/loss > 2", [1, 3, 3, 1, 3]) == [20, 50]


@pytest.mark.parametrize(
    ("rule", "steps"),
    [
        ("val/loss != 2", [10, 40]),
        ("val/loss = 2", [20]),
        ("val/loss in 1 .. 2", [10]),
        ("val/loss in (1, 3)", [10, 40]),
        ("val/loss not in (2, 2.5 .. 4)", [10, 50]),
    ],
)
def test_membership(rule, steps):
    """Other values, lists and ranges fire while they hold, ends included, and never at a NaN."""
    assert fired(rule, [1, 2, None, 3, 5]) == steps


def test_after():
    """Before `after` a rule sees and is silent."""
    assert fired("val/loss > 2", [3, 3, 3, 3], after="1 epoch") == [20]
    assert fired("val/loss > 2", [3, 3, 3, 3], after="75%") == [30]
    assert fired("val/loss > 2", [3, 3, 3, 3], after="35 steps") == [40]


def test_lasting():
    """With `for` a rule fires when it has held so long without a break."""
    assert fired("val/loss > 2", [3, 3, 1, 3, 3, 3], lasting="20 steps") == [60]
    assert fired("val/loss > 2", [3, 3, 3, 3], lasting="1 epoch") == [30]


def test_no_decrease():
    """Two epochs without a new lowest value, counted from the best one, fire.

    A new lowest one begins anew.
    """
    assert fired(
        "no_decrease(val/loss)",
        [5, 4, 4.5, 4.2, 3, 3.1, 3.2, 3.3, 3.4],
        every=20,
        lasting="2 epochs",
    ) == [80, 140]
    assert fired("no_increase(val/loss)", [5, 4, 6, 7], every=20, lasting="1 epoch") == [40]


def test_ratio():
    """One metric over another; by zero it is larger than anything."""
    guard = RuleMonitor([Rule("ratio(train/a, train/b) > 3")], 100, 10)
    assert not guard.see("train", 10, {"a": 3, "b": 1})
    assert guard.see("train", 20, {"a": 4, "b": 1})
    assert not guard.see("train", 30, {"a": 0, "b": 0})
    assert guard.see("train", 40, {"a": 1, "b": 0})


def test_rolling_mean():
    """The mean of the last values; before there are so many it holds nothing against a run."""
    assert fired("rolling_mean(val/loss, 3) > 2", [9, 1, 1, 3, 3]) == [30, 50]


def test_nonfinite():
    """A figure that is no number, or a step that was left out, is told.

    A later good line ends it.
    """
    assert fired(
        "nonfinite(train/loss)", [1, None, math.inf, 1, math.nan], metric="train/loss"
    ) == [20, 50]
    guard = RuleMonitor([Rule("nonfinite(train/loss)")], 100, 10)
    assert guard.see("train", 5, {"loss": 1.0, "skipped": 2})


def test_gravest_first():
    """Of rules that fire together the gravest speaks first."""
    wishes = [Rule("val/a > 0", "warn"), Rule("val/a > 0", "stop"), Rule("val/a > 0", "pause")]
    assert [
        firing.rule.action for firing in RuleMonitor(wishes, 10, 1).see("val", 1, {"a": 1})
    ] == [
        "stop",
        "pause",
        "warn",
    ]


@given(st.lists(st.floats(-5, 5) | st.none(), min_size=1, max_size=30), st.integers(0, 29))
def test_replay(values, cut):
    """A monitor that reads the start of a log again has the state of the one that saw it being written."""
    wishes = [
        Rule("val/loss > 1"),
        Rule("no_decrease(val/loss)", lasting="30 steps"),
        Rule("rolling_mean(val/loss, 3) < 0"),
        Rule("nonfinite(val/loss) or val/loss < -4", lasting="10 steps"),
    ]
    lines = [
        {"kind": "val", "step": 10 * at, "epoch": 0, "wall": 1.0, "loss": value}
        for at, value in enumerate(values, 1)
    ]
    straight = RuleMonitor(wishes, 300, 20).replay(lines)
    again = RuleMonitor(wishes, 300, 20)
    before = again.replay(lines[:cut])
    assert list(map(repr, before + again.replay(lines[cut:]))) == list(map(repr, straight))


@pytest.mark.parametrize("text", ["5", "5 days", "-1 steps", "steps", "1 epoch later", ""])
def test_spans(text):
    """A length of a run has a number and one of three units."""
    with pytest.raises(grammar.RuleError):
        grammar.Duration.of(text)
