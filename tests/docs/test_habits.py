"""The files around the code: workflow, templates, hooks and citation are valid and name what exists."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
import yaml

import shadowbox

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
FORMS = [
    path for path in sorted(ROOT.glob(".github/ISSUE_TEMPLATE/*.yml")) if path.name != "config.yml"
]
TEXTS = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / ".github/pull_request_template.md"]


def _yaml(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _targets():
    """The targets of the Makefile."""
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    return {match[1] for line in lines if (match := re.match(r"([a-z]+):", line))}


def _commands(workflow):
    """Every shell command of a workflow."""
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    return [step["run"] for step in steps if "run" in step]


def _extras(command):
    """The extras that a `pip install ".[a,b]"` asks for."""
    return {name for found in re.findall(r"\.\[([\w,]+)\]", command) for name in found.split(",")}


def test_there_are_workflows_and_forms():
    """The tests below look at the workflow and at two forms."""
    assert [path.name for path in WORKFLOWS] == ["ci.yml"]
    assert [path.stem for path in FORMS] == ["bug_report", "feature_request"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_name_what_exists(path):
    """Targets of make, extras and test files that a workflow names exist, and installs are constrained."""
    commands = _commands(_yaml(path))
    assert commands
    for command in commands:
        assert set(re.findall(r"\bmake ([\w-]+)", command)) <= _targets()
        assert _extras(command) <= set(PROJECT["project"]["optional-dependencies"])
        for file in re.findall(r"\btests/[\w./]+", command):
            assert (ROOT / file).exists(), f"{path.name}: {file}"
        if "pip install" in command:
            assert "-c constraints.txt" in command


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_only_read(path):
    """A workflow has read access alone, a time limit for each job, and runs on three systems."""
    workflow = _yaml(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    jobs = workflow["jobs"].values()
    assert all(job["timeout-minutes"] <= 90 and "permissions" not in job for job in jobs)
    systems = [job.get("strategy", {}).get("matrix", {}).get("os", job["runs-on"]) for job in jobs]
    assert systems == ["ubuntu-latest", ["windows-latest", "macos-latest"]]


def test_the_workflow_runs_every_check():
    """Its first command is `make test`, the call that the project's own CI makes."""
    assert _commands(_yaml(WORKFLOWS[0]))[0] == "make test"
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms_can_be_filled_in(path):
    """A form has a name, a description, and fields with unique ids and labels, one of them required."""
    form = _yaml(path)
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert all(field["type"] in ("textarea", "input", "dropdown") for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_the_chooser_of_issues_allows_questions():
    """Blank issues are open, and there is no link to a place that does not exist."""
    assert _yaml(ROOT / ".github/ISSUE_TEMPLATE/config.yml") == {"blank_issues_enabled": True}


def test_hooks_are_the_checks_of_make():
    """Each local hook calls a tool of the dev extra in .venv, and together they are lint, types and arch."""
    config = _yaml(ROOT / ".pre-commit-config.yaml")
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    packages = {"lint-imports": "import-linter"}
    dev = " ".join(PROJECT["project"]["optional-dependencies"]["dev"])
    for hook in hooks:
        assert hook["language"] == "system"
        folder, tool = hook["entry"].split()[0].rsplit("/", 1)
        assert folder == ".venv/bin"
        assert packages.get(tool, tool) in dev
        assert f"$(BIN)/{tool}" in makefile
    tools = re.findall(r"\$\(BIN\)/(ruff \w+|mypy|lint-imports)", makefile)
    called = [hook["entry"].removeprefix(".venv/bin/") for hook in hooks]
    assert all(any(call.startswith(tool) for call in called) for tool in tools)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_texts_name_targets_that_exist(path):
    """Every `make TARGET` of a text for contributors is a target."""
    named = set(re.findall(r"`make ((?:[a-z]+ ?)+)", path.read_text(encoding="utf-8")))
    assert {target for group in named for target in group.split()} <= _targets()


def test_the_citation_names_the_release():
    """CITATION.cff has the fields that its format requires, and the version and day of CHANGELOG.md."""
    citation = _yaml(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == shadowbox.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{citation['version']}] - {citation['date-released']}" in changelog
    assert citation["license"] == PROJECT["project"]["license"]


def test_the_changelog_keeps_its_form():
    """CHANGELOG.md begins with Unreleased, then releases from the newest, with the usual headings alone."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    releases = [
        re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d\d-\d\d)", h) for h in headings[1:]
    ]
    assert all(releases)
    versions = [tuple(int(part) for part in release.groups()[:3]) for release in releases]
    assert versions == sorted(versions, reverse=True)
    assert all(date.fromisoformat(release[4]) for release in releases)
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_editors_agree_with_the_formatter():
    """.editorconfig has the line length of ruff and tabs for the Makefile."""
    text = (ROOT / ".editorconfig").read_text(encoding="utf-8")
    assert f"max_line_length = {PROJECT['tool']['ruff']['line-length']}" in text
    assert re.search(r"\[Makefile\]\nindent_style = tab", text)


def test_the_package_describes_itself():
    """The metadata names the license, the readme, keywords and the Python that is required."""
    project = PROJECT["project"]
    assert project["readme"] == "README.md"
    assert (ROOT / project["readme"]).exists()
    assert project["keywords"]
    lowest = project["requires-python"].removeprefix(">=")
    assert f"Programming Language :: Python :: {lowest}" in project["classifiers"]
    assert not any(name.startswith("License ::") for name in project["classifiers"])
