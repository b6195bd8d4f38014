"""The command line: a table of commands, each loaded when it is called, and the handling of errors."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from shadowbox import __version__
from shadowbox.cli.text.waiting import sign_of_life
from shadowbox.core.system import STOP_SIGNALS, is_closed_pipe, is_saving, write_any_letter
from shadowbox.errors import (
    ReportedElsewhere,
    ShadowboxError,
    checkout,
    did_you_mean,
    system_error,
)

COMPLETE = "_SHADOWBOX_COMPLETE"  # set by a shell that asks for names at the tab key

COMMANDS = {  # name -> (module:object, what `--help` says)
    "analyze": (
        "shadowbox.cli.analyze:analyze",
        "Does a policy know its opponent: probes, attention, and what the latent is worth.",
    ),
    "audit": (
        "shadowbox.cli.audit:audit",
        "What is in a store: fields, presses, free baselines, duplicates, damage.",
    ),
    "bench": (
        "shadowbox.cli.bench:bench",
        "Measure a hot path beside what you would otherwise use.",
    ),
    "card": (
        "shadowbox.cli.card:card",
        "Run cards: new, check, estimate, sign, review, make, compare, index, close.",
    ),
    "doctor": (
        "shadowbox.cli.analyze:doctor",
        "Check a run for known problems, and say what to change.",
    ),
    "eval": (
        "shadowbox.cli.eval:evaluate",
        "Judge a policy: offline, in play, beside baselines, and by the behavior gate.",
    ),
    "export": (
        "shadowbox.cli.export.commands:export",
        "Write a policy or a world for programs that do not have Shadowbox.",
    ),
    "games": ("shadowbox.cli.games:games", "The games, and every field of one of them."),
    "ingest": (
        "shadowbox.cli.ingest:ingest",
        "Read recordings made elsewhere, such as replays, into a store.",
    ),
    "launch": (
        "shadowbox.cli.launch.commands:launch",
        "Run a card detached, under torchrun, slurm, Modal or Ray; status, logs, stop.",
    ),
    "match": (
        "shadowbox.cli.match:match",
        "One match: who won, what happened, and a page to watch it.",
    ),
    "migrate": (
        "shadowbox.cli.migrate:migrate",
        "Rewrite cards, runs and checkpoints of an earlier version.",
    ),
    "pipeline": (
        "shadowbox.cli.pipeline.command:pipeline",
        "From recordings to a policy, a world, matches and one page, in one call.",
    ),
    "play": (
        "shadowbox.cli.play.commands:play",
        "Play a game of others, live: Melee against a policy, Minecraft with body and hands.",
    ),
    "pull": (
        "shadowbox.cli.hub.commands:pull",
        "Take a run, a store or a card from elsewhere, every file compared with its digest.",
    ),
    "push": (
        "shadowbox.cli.hub.commands:push",
        "Write a run, a store or a card elsewhere, as a folder with a model or dataset card.",
    ),
    "record": ("shadowbox.cli.record:record", "Play matches between agents and store them."),
    "report": (
        "shadowbox.cli.report:report",
        "What came of a run or a card, as one page that works offline.",
    ),
    "run": (
        "shadowbox.cli.run:run",
        "Run a card: train under its rules, judge its targets, write the verdict back.",
    ),
    "tournament": (
        "shadowbox.cli.tournament:tournament",
        "Agents in pairs: ratings and payoffs with intervals.",
    ),
    "serve": (
        "shadowbox.cli.serve:serve",
        "Watch live matches, play, and look at matches, runs and cards, in a browser.",
    ),
    "train": (
        "shadowbox.cli.train:train",
        "Learn a policy from a store; stops, resumes and continues exactly.",
    ),
    "setup": (
        "shadowbox.cli.play.setup:setup",
        "Completion in your shell; models that find body and hands.",
    ),
    "store": ("shadowbox.cli.store:store", "Look into, merge, split, cut and export stores."),
    "view": (
        "shadowbox.cli.view:view",
        "Look at a stored match: a page that works offline, a picture, a film.",
    ),
}


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that `--help` stays quick."""

    def __init__(self, *args: Any, commands_at: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands_at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.commands_at)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.commands_at:
            return None
        module, _, attribute = self.commands_at[name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        if COMPLETE in os.environ:
            from shadowbox.cli.completion.shells import complete_names

            complete_names(command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
        """Names of commands out of `commands_at`, and the options of the group itself."""
        names = [
            CompletionItem(name, help=line)
            for name, (_, line) in sorted(self.commands_at.items())
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.commands_at:
            raise click.UsageError(
                f"unknown command '{args[0]}': {did_you_mean(args[0], self.commands_at)}", ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands out of `commands_at`: importing them all would make help slow."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, line) for name, (_, line) in sorted(self.commands_at.items())]
            )


FIRST_STEPS = (  # the reason to call a command, and the command
    ("play against a bot, in a browser", "shadowbox serve --open"),
    (
        "or play a match here, and write a page of it",
        "shadowbox match brawl --p0 based --p1 expert --out match.html",
    ),
    (
        "record a hundred of them, train a small policy, and let it play",
        "shadowbox record brawl --p0 expert --p1 based --out games",
        "shadowbox train games --out runs/first --preset tiny --steps 100",
        "shadowbox match brawl --p0 policy:runs/first --p1 based",
    ),
    ("complete names at the tab key", "shadowbox setup completion"),
)


@click.group(
    cls=_LazyGroup,
    commands_at=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="shadowbox")
@click.option("--debug", is_flag=True, help="Show where in the code an error came from.")
@click.pass_context
def shadowbox(context: click.Context, debug: bool) -> None:
    """Learn to play real-time games: from recordings, inside learned worlds, and against itself."""
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING, format="%(message)s", stream=sys.stderr
    )
    if context.invoked_subcommand is None:
        print(_greeting())


def _greeting() -> str:
    """What to do first, in fewer lines than a terminal has."""
    lines = ["Shadowbox learns to play real-time games. To begin:"]
    for reason, *commands in FIRST_STEPS:
        lines += ["", f"  # {reason}", *(f"  {command}" for command in commands)]
    lines += ["", "`shadowbox games` lists the games, `shadowbox --help` all commands."]
    if root := checkout():
        lines.append(f"`make demo` in {root} shows all of it; docs/tour.md explains it.")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command.

    Errors are one line and an exit status: 2 for a wrong call, 1 for a failed job.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, as with `>&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    write_any_letter()
    try:
        with _stoppable(arguments), sign_of_life():
            if COMPLETE in os.environ:
                import_module("shadowbox.cli.completion.shells")  # registers its shells
            shadowbox.main(arguments, prog_name="shadowbox", standalone_mode=False)
            sys.stdout.flush()
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail(arguments, "stopped", 130)
    except click.ClickException as error:
        _fail(arguments, error.format_message(), error.exit_code)
    except ReportedElsewhere as error:  # several processes under torchrun: one of them speaks
        sys.exit(error.exit_code)
    except ShadowboxError as error:
        _fail(arguments, str(error), error.exit_code)
    except Exception as error:
        if _was_interrupted(error):
            _fail(arguments, "stopped", 130)
        if is_closed_pipe(error):  # `shadowbox ... | head`: the reader has what it wanted
            _drop_output()
            sys.exit(0)
        if isinstance(error, OSError) and error.errno is not None:
            # an error without a file may be of the output, which one more line shows
            output = error.filename is None and _output_fails("\n")
            _fail(arguments, system_error(error, "standard output" * output), 1)
        if isinstance(error, MemoryError):
            _fail(arguments, f"out of memory: {error}" if str(error) else "out of memory", 1)
        _fail(
            arguments,
            f"an error of Shadowbox itself: {type(error).__name__}: {error}; --debug shows where",
            1,
        )
    sys.exit(0)


def _was_interrupted(error: BaseException | None) -> bool:
    """Return true for a KeyboardInterrupt, also inside an error that compiled code made of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


@contextmanager
def _stoppable(arguments: list[str]) -> Iterator[None]:
    """End with a word at a signal, from the first instant on.

    A KeyboardInterrupt is lost where Python cannot raise one: during an import that catches
    everything, in a destructor, in a callback. In an import the process ends here; from the others
    the signal comes again. Training and recording handle signals themselves while they work.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if is_saving() or not _imports(frame):
            raise KeyboardInterrupt
        message = (
            json.dumps({"error": "stopped", "exit": 130}) + "\n" if "--json" in arguments else ""
        )
        os.write(1, message.encode())
        os.write(2, b"shadowbox: stopped\n")
        os._exit(130)

    def come_again(lost: sys.UnraisableHookArgs) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            hook(lost)

    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    hook, sys.unraisablehook = sys.unraisablehook, come_again
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def _imports(frame: FrameType | None) -> bool:
    """Return true while a module is being imported."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _fail(arguments: list[str], message: str, status: int) -> NoReturn:
    if "--debug" in arguments and sys.exc_info()[0] is not None:
        traceback.print_exc()
    with contextlib.suppress(OSError):  # what cannot be written is full, or was closed
        if "--json" in arguments:
            print(json.dumps({"error": message, "exit": status}))
    if _output_fails():
        _drop_output()
    with contextlib.suppress(OSError):
        print(f"shadowbox: {message}", file=sys.stderr)
    sys.exit(status)


def _output_fails(text: str = "") -> bool:
    """Return true if standard output cannot be written, such as on a full disk."""
    try:
        print(text, end="", flush=True)
    except OSError:
        return True
    return False


def _drop_output() -> None:
    """Discard output that is still in the buffer, so that it does not fail again at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
