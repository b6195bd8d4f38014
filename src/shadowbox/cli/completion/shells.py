"""What a shell calls at the tab key: click's completion, with the names of `names.py`.

A shell runs `_SHADOWBOX_COMPLETE=SHELL_complete shadowbox` with the line in its environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from shadowbox.cli.completion.names import BY_COMMAND, BY_METAVAR, BY_NAME, Given
from shadowbox.errors import ShadowboxError

if TYPE_CHECKING:
    _Text = click.ParamType[str]
else:  # older releases of click have no type arguments
    _Text = click.ParamType

VARIABLE = "_SHADOWBOX_COMPLETE"  # click derives it from the program's name
FILES = {  # shell -> the end of its one-line install
    "bash": ">> ~/.bashrc",
    "zsh": ">> ~/.zshrc",
    "fish": "> ~/.config/fish/completions/shadowbox.fish",
}
# The line goes to Python as it is: bash would cut policy:runs/x and expert@delay=6 into pieces, and
# replaces the last of these pieces alone.
_BASH = """\
%(complete_func)s() {
    local response type value
    response=$(env COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" \\
COMP_BREAKS="$COMP_WORDBREAKS" %(complete_var)s=bash_complete "$1" 2>/dev/null)
    COMPREPLY=()
    while IFS=',' read -r type value; do
        case $type in
            dir) compopt -o dirnames;;
            file) compopt -o default;;
            plain) COMPREPLY+=("$value");;
        esac
        case $value in *[:@=#/]) compopt -o nospace;; esac
    done <<< "$response"
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Bash(BashComplete):
    """Completion in bash of words that hold : @ or =."""

    source_template = _BASH
    kept = 0  # letters of the last word that bash does not replace

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE", "")
        line = line.encode()[: int(os.environ.get("COMP_POINT", "0"))].decode(errors="ignore")
        words = split_arg_string(line)
        last = "" if line[-1:].isspace() or len(words) < 2 else words.pop()
        breaks = "".join(set(os.environ.get("COMP_BREAKS", "")) & set(":=@"))
        self.kept = max((last.rfind(each) + 1 for each in breaks), default=0)
        return words[1:], last

    def format_completion(self, item: CompletionItem[Any]) -> str:
        return f"{item.type},{str(item.value)[self.kept :]}"


class _Known(_Text):
    """Text whose possible values are known; a file where none of them begins like it."""

    name = "text"

    def __init__(self, values: Callable[[str, Given], list[str]]) -> None:
        self.values = values

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[Any]]:
        try:
            found = self.values(incomplete, ctx.params)
        except (ShadowboxError, OSError):  # a half-typed game or store; the call itself names it
            found = []
        items = [CompletionItem(value) for value in found if value.startswith(incomplete)]
        return items or [CompletionItem(incomplete, type="file")]


def complete_names(command: click.Command) -> click.Command:
    """Give the arguments and options of a command, and of those below it, their names."""
    for param in command.params:
        if values := _values_of(command, param):
            param.type = _Known(values)
    if isinstance(command, click.Group):
        for below in getattr(command, "commands", {}).values():
            complete_names(below)
    return command


def _values_of(
    command: click.Command, param: click.Parameter
) -> Callable[[str, Given], list[str]] | None:
    name = param.name or ""
    found = BY_COMMAND.get((command.name or "", name)) or BY_METAVAR.get(param.metavar or "")
    if found is None and not isinstance(param.type, click.Path | click.Choice):
        found = BY_NAME.get(name)
    return found


def is_completing() -> bool:
    """True in a process that a shell has asked for names."""
    return VARIABLE in os.environ


def script(shell: str) -> str:
    """Text that a shell reads once to know these names."""
    kind = get_completion_class(shell)
    assert kind is not None
    return kind(click.Command("shadowbox"), {}, "shadowbox", VARIABLE).source()


def default_shell() -> str | None:
    """The user's shell, if it is one of these."""
    name = os.path.basename(os.environ.get("SHELL", ""))
    return name if name in FILES else None


def install_line(shell: str) -> str:
    """The one line that installs completion in a shell."""
    return f"shadowbox setup completion {shell} {FILES[shell]}"


if sys.platform != "win32":
    add_completion_class(_Bash, "bash")
