"""`python -m shadowbox`, and the command `shadowbox`."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Run the command line; a signal while it is imported ends the process with a word."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    from shadowbox.cli import main as run

    run()


def _stop(number: int, frame: object) -> None:
    os.write(2, b"shadowbox: stopped\n")
    os._exit(130)


if __name__ == "__main__":
    main()
