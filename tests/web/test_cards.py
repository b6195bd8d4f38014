"""Cards pages: the list, one card with its results, two compared, and no other file."""

from __future__ import annotations

import json

import pytest
from browser import follow
from kept_promises import UNKIND, write_card, write_run
from quick_brawl import GAME
from starlette.testclient import TestClient

from shadowbox.cards import signatures
from shadowbox.cards.file import CardFile
from shadowbox.experiment.checks import check
from shadowbox.games import load
from shadowbox.web import cards
from shadowbox.web.app import application
from shadowbox.web.site import Site

HERE = "http://127.0.0.1:8765"
RESULTS = {
    "verdict": "missed",
    "reason": "",
    "run": "runs/toy",
    "when": "today",
    "stamps": [],
    "cost": {"wall_s": 80.0, "usd": 0.0, "estimated_s": 64.0, "actual_over_estimate": 1.25},
    "targets": [
        {
            "metric": "val/onset_f1_greedy",
            "op": ">",
            "wanted": 0.3,
            "value": 0.2,
            "low": 0.1,
            "high": 0.25,
            "passed": False,
            "verdict": "missed",
            "primary": True,
            "baselines": {"copy_last": 0.1},
            "met_for_free_by": [],
            "seeds": [0.2],
        }
    ],
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Working folder with a card that has two runs."""
    monkeypatch.chdir(tmp_path)
    write_card(tmp_path / "cards")
    for seed in ("0", "1"):
        write_run(tmp_path / "runs" / "toy" / seed)
    return tmp_path


@pytest.fixture
def client(here):
    """Test client that calls the application as a browser on this machine does."""
    site = Site(game=GAME, known=lambda name: GAME if name == "brawl" else None, out=here / "none")
    with TestClient(application(site), base_url=HERE, raise_server_exceptions=False) as client:
        yield client


def with_results(file, data):
    """Write a card with data in its block of results."""
    text = json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e")
    changed = file.with_block("results", f"**words**\n\n<!-- data {text} -->")
    changed.write()
    return changed


def test_cards_are_listed(client, here):
    """Each card is listed with its status, deciding target, and time beside the estimate.

    A wrong card hides no other card.
    """
    with_results(CardFile.read(here / "cards" / "toy.md"), RESULTS)
    (here / "cards" / "bad.md").write_text("---\nid: bad\n---\n")
    text = client.get("/cards").text
    for part in (
        "missed",
        "val/onset_f1_greedy &gt; 0.3: 0.2 (missed)",
        "1.25",
        'href="/cards/toy"',
        "cards/bad.md has 5 mistakes",
    ):
        assert part in text, part


def test_a_card_has_a_page(client, here):
    """The page of a card has its goal, targets, kill rules, settings, facts, text and runs."""
    text = client.get("/cards/toy").text
    facts = check.check_card(here / "cards" / "toy.md", load).facts
    (parameters,) = (value for name, value in facts.items() if name.startswith("parameters"))
    for part in (
        "Learn what they press",
        "val/loss &lt; 1.1",
        "decides",
        "train/norm &gt; 0.5",
        "train.lr: 0.0001",
        "on a shelf",
        f"{parameters:,}",
        "<b>nobody</b>",
        "<li>second</li>",
        "shadowbox card estimate toy",
        'href="/runs/toy/1"',
        "/runs/compare?run=toy%2F0&amp;run=toy%2F1",
        "The card is valid",
    ):
        assert part in text, part


def test_results_of_others_have_a_table(client, here):
    """A page shows runs of others with data, figures and source, and the reviewers' list."""
    more = """prior:
  - {name: p0-test, data: 50 games, values: {val/loss: 0.039, val/btn_pressed_acc: 0.966}, source: its <card>}
checks: [baselines are named, {text: data is whole, done: true}]
"""
    write_card(here / "cards", "other", more=more)
    text = client.get("/cards/other").text
    for part in ("50 games", '<td class="number">0.039</td>', "0.966", "its &lt;card&gt;"):
        assert part in text, part
    assert text.index("open") < text.index("baselines are named") < text.index("data is whole")
    both = client.get("/cards/compare?card=toy&card=other").text
    assert "<td>p0-test</td><td>val/loss</td>" in both


def test_results_are_shown(client, here):
    """Results are a verdict, each target with interval and baseline, and time beside estimate."""
    with_results(CardFile.read(here / "cards" / "toy.md"), RESULTS)
    text = client.get("/cards/toy").text
    for part in (
        "missed",
        "0.1 .. 0.25",
        "copy_last 0.1",
        "1.25 times the estimate of 64.0 s",
    ):
        assert part in text, part


def test_mistakes_have_their_lines(client, here):
    """A wrong card shows every mistake with its line number, and marks the lines."""
    path = here / "cards" / "toy.md"
    path.write_text(
        path.read_text()
        .replace("preset: tiny", "preset: tinny")
        .replace("seeds: [0, 1]", "seeds: [0, x]")
    )
    text = client.get("/cards/toy").text
    assert "2 mistakes" in text
    assert "no preset &#x27;tinny&#x27;: did you mean &#x27;tiny&#x27;?" in text
    assert '<span class=wrong><i class="number">8</i>preset: tinny</span>' in text


def test_signatures_hold_until_the_contract_is_edited(client, here):
    """A signature is valid; after an edit it is void, and the changed lines are shown."""
    path = here / "cards" / "toy.md"
    checked = check.check_card(path, lambda name: GAME)
    signed = signatures.add_signature(
        checked.file,
        "ann",
        "signed",
        settings=checked.settled.hash,
        data=None,
        commit=None,
        note="fine",
    )
    signed.write()
    assert "<b>ann</b> signed" in (text := client.get("/cards/toy").text)
    assert ">valid<" in text
    path.write_text(path.read_text().replace("Do 40 steps suffice?", "Do 41 steps suffice?"))
    text = client.get("/cards/toy").text
    assert ">void<" in text
    assert '<span class="gone">line 5: - question: Do 40 steps suffice?</span>' in text
    assert '<span class="come">line 5: + question: Do 41 steps suffice?</span>' in text


def test_two_cards_are_compared(client, here):
    """Two cards are compared by field and by line; another number of cards is refused."""
    write_card(here / "cards", "other", seeds="7")
    text = client.get("/cards/compare?card=toy&card=other").text
    assert "[0, 1]" in text
    assert '<span class="gone">-seeds: [0, 1]</span><span class="come">+seeds: [7]</span>' in text
    for query, status in (
        ("", 400),
        ("card=toy", 400),
        ("card=toy&card=none", 404),
        ("card=toy&card=../cards/toy", 404),
    ):
        assert client.get(f"/cards/compare?{query}").status_code == status, query
    (here / "cards" / "bad.md").write_text("---\nid: bad\n---\n")
    assert "bad.md has 5 mistakes" in client.get("/cards/compare?card=toy&card=bad").text


@pytest.mark.parametrize(
    "name",
    ["%2e%2e", "%2e%2e%2fsecret", "..%2fsecret", "%2fetc%2fpasswd", "toy.md", "%00", "%ff", "no"],
)
def test_other_files_are_no_cards(client, here, name):
    """Only a listed card has a page: no path leads out of the folder of cards."""
    (here / "secret.md").write_text("---\nid: hidden\n---\n")
    answer = client.get(f"/cards/{name}")
    assert answer.status_code == 404
    assert "hidden" not in answer.text


@pytest.mark.parametrize(
    "data",
    [
        5,
        [],
        {},
        *(RESULTS | {"targets": odd} for odd in (5, [5], [{}])),
        RESULTS | {"cost": {"usd": "1"}},
        RESULTS | {"settings": [{"set": {}, "verdict": "x", "targets": [], "cost": {}}]},
        RESULTS | {"verdict": None},
    ],
)
def test_results_of_any_shape_break_no_page(client, here, data):
    """Results that were edited by hand are marked so; neither the list nor the page fails."""
    with_results(CardFile.read(here / "cards" / "toy.md"), data)
    assert client.get("/cards").status_code == 200
    answer = client.get("/cards/toy")
    assert answer.status_code == 200
    assert "edited by hand" in answer.text


ODD = dict.fromkeys(("did", "when", "contract", "settings", "data", "commit"), "") | {
    "who": ["x"],
    "note": {},
}


@pytest.mark.parametrize("entry", [5, {}, {"who": 5}, ODD, ODD | {"who": "x"}])
def test_signatures_of_any_shape_break_no_page(client, here, entry):
    """Signatures that were edited by hand are reported as a mistake of the card."""
    file = CardFile.read(here / "cards" / "toy.md")
    file.with_block(
        "signatures", f"<!-- data {json.dumps({'signatures': [entry], 'contracts': {}})} -->"
    ).write()
    answer = client.get("/cards/toy")
    assert answer.status_code == 200
    assert "delete it and sign again" in answer.text


def test_halves_of_letters_break_no_page(client, here):
    """Half of a surrogate pair in YAML or a file's name is shown escaped; results with one are refused."""
    path = here / "cards" / "toy.md"
    path.write_text(path.read_text().replace("They do.", '"\\uD800"'))
    with_results(CardFile.read(path), RESULTS | {"reason": "\udfff"})
    (here / "cards" / "odd\udcff.md").write_text(path.read_text())
    assert client.get("/cards").status_code == 200
    answer = client.get("/cards/toy")
    assert answer.status_code == 200
    assert "\\ud800" in answer.text
    assert "edited by hand" in answer.text


def test_no_cards_say_what_to_do(tmp_path):
    """Without cards the page shows the command that writes one."""
    site = Site(game=GAME, known=lambda name: None, out=tmp_path / "none", cards=tmp_path / "none")
    with TestClient(application(site), base_url=HERE) as client:
        assert "shadowbox card new NAME" in client.get("/cards").text


@pytest.mark.parametrize("where", ["learner", "sweep"])
def test_a_page_imports_no_code(client, here, where):
    """The page of a card whose learner is `module:SPEC` says so, and opening it imports nothing."""
    (here / "intruder.py").write_text(
        "import traceback; open('imported', 'w').write(''.join(traceback.format_stack()))"
    )
    path = here / "cards" / "toy.md"
    lines = {
        "learner": "learner: intruder:SPEC",
        "sweep": "sweep: {grid: {learner: [imitation, 'intruder:SPEC']}}",
    }
    path.write_text(path.read_text().replace("preset: tiny", f"preset: tiny\n{lines[where]}"))
    answer = client.get("/cards/toy")
    assert answer.status_code == 200
    assert "this page imports no code" in answer.text
    assert not (here / "imported").exists(), (here / "imported").read_text()


def test_a_card_that_changes_while_it_is_opened(client, here, monkeypatch):
    """A page reads a card once: code that it names after it was looked at is not imported."""
    (here / "intruder.py").write_text("open('imported', 'w').close()")
    path = here / "cards" / "toy.md"
    changed = path.read_text().replace("preset: tiny", "preset: tiny\nlearner: intruder:SPEC")
    look = cards.learners_of

    def looked(card):
        path.write_text(changed)
        return look(card)

    monkeypatch.setattr(cards, "learners_of", looked)
    assert client.get("/cards/toy").status_code == 200
    assert not (here / "imported").exists()


# ---- in a browser ----


def unkind_cards(folder):
    """Write cards with markup in every text: a valid one, a wrong one, one with such a name."""
    quoted = json.dumps(UNKIND)
    file = write_card(folder, "fine")
    text = file.text
    for part in ("Learn what they press", "Do 40 steps suffice?", "They do.", "on a shelf"):
        text = text.replace(part, f'{quoted[:-1]} {"long" * 40}"')
    text = text.replace(
        "Because",
        f"{UNKIND}\n\n# {UNKIND}\n\n- {UNKIND}\n\n| {UNKIND} |\n\n"
        f"`{UNKIND}` **{UNKIND}**\n\n```\n{UNKIND}\n```\n",
    )
    more = f"fallback: {quoted}\nbaseline: {{source: {quoted}}}\n"
    (folder / "fine.md").write_text(text.replace("seeds:", f"{more}seeds:"))
    checked = check.check_card(folder / "fine.md", lambda name: GAME)
    assert checked.good, checked.mistakes
    file = signatures.add_signature(
        checked.file, "ann", "signed", settings="", data=None, commit=None, note=UNKIND
    )
    file = file.with_block("prior", f"| {UNKIND} |\n|---|\n| {UNKIND} |")
    target = RESULTS["targets"][0] | {
        "metric": UNKIND,
        "verdict": UNKIND,
        "wanted": UNKIND,
        "baselines": {UNKIND: 1.0},
    }
    closed = {
        "closed": UNKIND,
        "note": UNKIND,
        "deviations": [UNKIND],
        "stamps": [UNKIND],
        "reason": UNKIND,
        "when": UNKIND,
    }
    setting = {
        "set": {UNKIND: UNKIND},
        "verdict": UNKIND,
        "targets": [target],
        "cost": {"wall_s": 1.0},
    }
    with_results(
        file, RESULTS | closed | {"verdict": UNKIND, "targets": [target], "settings": [setting]}
    )
    named = UNKIND.replace("/", "")
    (folder / f"{named}.md").write_text((folder / "fine.md").read_text())
    lines = [f"{name}: {quoted}" for name in ("id", "game", "preset", quoted)]
    lines += [
        f"set: {{{quoted}: 1}}",
        f"kill: [{{when: {quoted}}}]",
        f"targets: [{{metric: {quoted}}}]",
    ]
    (folder / "wrong.md").write_text("\n".join(["---", *lines, "---", UNKIND, ""]))
    return named


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_unkind_cards_are_text(server, browse, tmp_path, width, scheme):
    """Markup in a card and in its name is shown as text, and no page is wider than the screen."""
    named = unkind_cards(tmp_path / "mine")
    page = browse(
        server("--cards", tmp_path / "mine").url + "cards",
        width=width,
        height=900,
        color_scheme=scheme,
    )
    until_counted = "document.querySelectorAll('main img, main script').length"
    assert page.evaluate(until_counted) == 0
    assert page.get_by_role("link", name=named).count() == 1
    base = page.url
    for name in ("fine", "wrong"):
        page.goto(f"{base}/{name}")
        assert page.evaluate(until_counted) == 0, name
        assert "<img src=x onerror=alert(1)>" in page.inner_text("main"), name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    page.goto(base)
    follow(page, page.get_by_role("link", name=named))
    assert page.evaluate(until_counted) == 0
    assert page.inner_text("h1") == named


def test_two_cards_are_compared_from_the_list(server, browse, tmp_path):
    """Two marked cards are compared; changed lines have a sign, not only a color."""
    for name in ("one", "two"):
        write_card(tmp_path / "mine", name, seeds="0" if name == "one" else "5")
    page = browse(server("--cards", tmp_path / "mine").url + "cards")
    for box in page.get_by_role("checkbox").all():
        box.check()
    follow(page, page.get_by_role("button", name="Compare"))
    page.wait_for_url("**/cards/compare?card=one&card=two")
    assert page.inner_text("pre .gone >> nth=-1") == "-seeds: [0]"
    assert page.inner_text("pre .come >> nth=-1") == "+seeds: [5]"


def test_a_card_and_its_runs_link_to_each_other(server, browse, tmp_path):
    """The page of a card links to the pages of its runs, and these link to the card."""
    write_card(tmp_path / "mine")
    write_run(tmp_path / "trained" / "toy" / "0")
    page = browse(
        server("--cards", tmp_path / "mine", "--runs", tmp_path / "trained").url + "cards/toy"
    )
    follow(page, page.get_by_text("toy/0"))
    page.wait_for_url("**/runs/toy/0")
    follow(page, page.get_by_role("link", name="toy", exact=True))
    page.wait_for_url("**/cards/toy")
    assert page.inner_text("h1") == "toy"
