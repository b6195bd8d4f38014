"""`shadowbox launch`: run a card detached, under torchrun, slurm, Modal or Ray; look at it, stop it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from shadowbox.cli.card import parsed
from shadowbox.cli.card_signing import located
from shadowbox.cli.terminal import PATH, at_least, emit, json_option, table
from shadowbox.core.system import command_line
from shadowbox.errors import UsageError
from shadowbox.games import load

if TYPE_CHECKING:
    from shadowbox.launch.spec import _LaunchSpec

Command = TypeVar("Command", bound=Callable[..., Any])

runs_option = click.option(
    "--runs", default="runs", show_default=True, type=PATH, help="Folder for runs."
)


@click.group()
def launch() -> None:
    """Run a card elsewhere or detached, with one command, and resume it after a time-out."""


def _card_options(command: Command) -> Command:
    """Argument and options that every launcher has."""
    for option in (
        json_option,
        click.option("--keep-card", is_flag=True, help="Do not write the results into the card."),
        runs_option,
        click.option(
            "--unsigned",
            is_flag=True,
            help="Launch without the required signatures; noted in the results.",
        ),
        click.option(
            "--set",
            "changes",
            multiple=True,
            metavar="NAME=VALUE",
            help="Change a setting for this job; noted in the results (repeatable).",
        ),
        click.option("--resume", is_flag=True, help="Continue the card's runs from the start on."),
        click.option("--dry", is_flag=True, help="Print the launch spec; start nothing."),
        click.argument("name", metavar="CARD"),
    ):
        command = option(command)
    return command


@launch.command()
@_card_options
@click.option("--wait", "waits", is_flag=True, help="Wait until the job is over.")
def local(waits: bool, **options: Any) -> None:
    """Run CARD on this machine, detached, with a log file; resume it after a time-out."""
    _start_here(_spec("local", **options), waits, **options)


@launch.command()
@_card_options
@click.option(
    "--processes",
    default=2,
    show_default=True,
    type=at_least(1),
    help="Number of processes that share each step: one a GPU.",
)
@click.option("--wait", "waits", is_flag=True, help="Wait until the job is over.")
def torchrun(processes: int, waits: bool, **options: Any) -> None:
    """Run CARD on this machine in several processes; another number of them may resume it."""
    _start_here(_spec("torchrun", processes=processes, **options), waits, **options)


@launch.command()
@_card_options
@click.option(
    "--address",
    default="",
    help="Address of a Ray cluster.  [default: RAY_ADDRESS, else Ray on this machine]",
)
@click.option(
    "--processes",
    default=1,
    show_default=True,
    type=at_least(1),
    help="Number of actors that share each step of one run, and its rollouts.",
)
@click.option("--wait", "waits", is_flag=True, help="Wait until the job is over.")
def ray(address: str, processes: int, waits: bool, **options: Any) -> None:
    """Train the settings and seeds of CARD as tasks of Ray, or each run by several actors.

    The job itself runs here, detached.
    """
    spec = _spec("ray", address=address, processes=processes, **options)
    _start_here(spec, waits, **options)


@launch.command()
@_card_options
@click.option(
    "--option",
    "given",
    multiple=True,
    metavar="--NAME=VALUE",
    help="Pass an option on to sbatch, such as --partition=gpu (repeatable).",
)
def slurm(given: tuple[str, ...], **options: Any) -> None:
    """Write a batch script for CARD, and submit it where sbatch is installed."""
    from shadowbox.launch import records
    from shadowbox.launch import slurm as launcher

    spec = _spec("slurm", launcher_options=given, **options)
    folder = records.folder_of(spec.card, options["runs"])
    if options["dry"]:
        _show(spec, options["as_json"], script=launcher.script(spec, folder, Path.cwd()))
    else:
        _say_started(launcher.submit(spec, folder), options["as_json"])


@launch.command()
@_card_options
@click.option("--upload", "sends", is_flag=True, help="Send the card's data to the volume first.")
def modal(sends: bool, **options: Any) -> None:
    """Run CARD on Modal: in its volume, committed after each checkpoint, resumed after a time-out."""
    from shadowbox.launch import modal as launcher
    from shadowbox.launch import records
    from shadowbox.launch.session import files_of

    spec = _spec("modal", **options)
    launcher.build(spec)  # what Modal could not run is refused here
    if options["dry"]:
        _show(spec, options["as_json"])
        return
    if sends:
        launcher.upload(launcher.volume_of(spec), [_data_of(options["name"])])
    files = files_of(located(options["name"]))
    folder = records.folder_of(spec.card, options["runs"])
    _say_started(launcher.submit(spec, files, folder), options["as_json"])


@launch.command()
@click.argument("name", metavar="CARD")
@runs_option
@json_option
def fetch(name: str, runs: Path, as_json: bool) -> None:
    """Fetch a job's runs, with their checkpoints, from its network volume."""
    from shadowbox.launch import modal as launcher
    from shadowbox.launch import records

    spec = records.spec_of(records.read_record(records.find_job(name, runs)))
    place = (runs / spec.card).as_posix()
    found = launcher.download(launcher.volume_of(spec), place, Path())
    if as_json:
        emit({"card": spec.card, "files": [str(path) for path in found]})
    else:
        print(f"{place}: {len(found):,} files")


@launch.command("status")
@click.argument("names", metavar="[CARD...]", nargs=-1)
@runs_option
@json_option
def status_of(names: tuple[str, ...], runs: Path, as_json: bool) -> None:
    """List launched jobs with their state and the step of their run."""
    from shadowbox.launch import records

    folders = [records.find_job(name, runs) for name in names] or records.jobs(runs)
    found = [_summary(folder, runs) for folder in folders]
    if as_json:
        emit({"jobs": found})
    elif not found:
        print(f"nothing was launched in {runs}")
    else:
        head = ["card", "launched by", "state", "session", "step", "of", ""]
        rows = [
            [
                each["card"],
                each["target"],
                each["state"],
                f"{each['session']} of {each['sessions']}",
                f"{each['step']:,}" if each["step"] is not None else "-",
                f"{each['total']:,}" if each["total"] is not None else "-",
                each["text"],
            ]
            for each in found
        ]
        print(table(head, rows, left=7))


@launch.command()
@click.argument("name", metavar="CARD")
@click.option(
    "--lines", default=20, show_default=True, type=at_least(1), help="Last lines to print."
)
@click.option("--follow", is_flag=True, help="Print new lines until the job is over.")
@runs_option
def logs(name: str, lines: int, follow: bool, runs: Path) -> None:
    """Print the end of what a job has printed."""
    from shadowbox.launch import local as launcher
    from shadowbox.launch import records

    folder = records.find_job(name, runs)
    path = folder / records.LOG
    data = path.read_bytes() if path.exists() else b""
    _print_bytes(b"\n".join(data.split(b"\n")[-lines - 1 :]))
    while follow:
        over = launcher.status(folder)["state"] not in records.ALIVE
        now = path.read_bytes() if path.exists() else b""
        _print_bytes(now[len(data) :])
        data = now
        if over:
            break
        time.sleep(0.2)


@launch.command()
@click.argument("name", metavar="CARD")
@runs_option
@json_option
def stop(name: str, runs: Path, as_json: bool) -> None:
    """End a job with all its processes; its run saves first, and says how to go on."""
    from shadowbox.launch import local, records
    from shadowbox.launch import modal as modal_jobs
    from shadowbox.launch import slurm as slurm_jobs

    folder = records.find_job(name, runs)
    record = records.read_record(folder)
    elsewhere = {"slurm": slurm_jobs, "modal": modal_jobs}.get(record["spec"]["target"])
    if elsewhere is not None:
        elsewhere.stop(folder, elsewhere.status(record))
    else:
        local.stop(folder)
    found = _summary(folder, runs)
    if as_json:
        emit(found)
    else:
        print(f"{found['card']}: {found['state']}" + f"; {found['text']}" * bool(found["text"]))


def _spec(target: str, **options: Any) -> _LaunchSpec:
    """The launch spec of a command's options."""
    from shadowbox.experiment.run import RunOptions
    from shadowbox.launch.spec import make_spec

    wish = RunOptions(
        options["resume"],
        parsed(options["changes"]),
        options["unsigned"],
        options["runs"],
        options["keep_card"],
    )
    more = {
        name: options[name]
        for name in ("processes", "launcher_options", "address")
        if name in options
    }
    return make_spec(located(options["name"]), target, load, wish, say=_say, **more)


def _start_here(spec: _LaunchSpec, waits: bool, **options: Any) -> None:
    """Start a job on this machine, and wait for its end if asked."""
    from shadowbox.launch import local as launcher
    from shadowbox.launch import records

    if options["dry"]:
        _show(spec, options["as_json"])
        return
    folder = records.folder_of(spec.card, options["runs"])
    record = launcher.start(spec, folder)
    if waits:
        record = launcher.wait(folder)
    _say_started(record, options["as_json"])
    if waits and record["state"] != records.FINISHED:
        sys.exit(1)


def _data_of(name: str) -> Path:
    """Folder of the card's data, which must be here to be sent."""
    from shadowbox.cards.card import require_card

    card = require_card(located(name))[1]
    if card.data is None or not Path(card.data.store).is_dir():
        raise UsageError(f"{name} has no data here to send: leave --upload out")
    return Path(card.data.store)


def _show(spec: _LaunchSpec, as_json: bool, **more: str) -> None:
    from shadowbox.launch.spec import described

    if as_json:
        emit({"spec": spec.to_json(), **more})
        return
    print(table(["launch", ""], described(spec), left=2))
    for text in more.values():
        print(f"\n{text}")


def _say_started(record: dict[str, Any], as_json: bool) -> None:
    spec = record["spec"]
    if as_json:
        emit({key: record[key] for key in record if key != "mark"})
        return
    job = f" as job {record['job']}" if "job" in record else ""
    text = f"; {record['text']}" if record.get("text") else ""
    print(f"{spec['card']}: {record['state']}{job}{text}")
    print(f"  shadowbox launch logs {spec['card']} --follow")
    print(f"  after a stop it goes on with: {command_line(spec['resume'])}")


def _summary(folder: Path, runs: Path) -> dict[str, Any]:
    """State of a job, and the step of the card's latest run."""
    from shadowbox.launch import local as launcher
    from shadowbox.launch import modal as modal_jobs
    from shadowbox.launch import records
    from shadowbox.launch import slurm as slurm_jobs
    from shadowbox.train import runs as prior

    record = launcher.status(folder)
    elsewhere = {"slurm": slurm_jobs, "modal": modal_jobs}.get(record["spec"]["target"])
    if elsewhere is not None:
        record = elsewhere.status(record)
    spec = records.spec_of(record)
    found = list(prior.runs_in(runs / spec.card))
    # the one that was written last is the one that trains
    facts = (
        max(found, key=lambda run: (run.path / "run.json").stat().st_mtime).facts if found else {}
    )
    return {
        "card": spec.card,
        "target": spec.target,
        "state": record["state"],
        "text": record.get("text", ""),
        "session": record["attempt"] + 1,
        "sessions": spec.resumes + 1,
        "when": record["when"],
        "log": str(folder / records.LOG),
        "step": facts.get("step"),
        "total": facts.get("total"),
        **({"job": record["job"]} if "job" in record else {}),
    }


def _print_bytes(data: bytes) -> None:
    print(data.decode(errors="replace"), end="", flush=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
