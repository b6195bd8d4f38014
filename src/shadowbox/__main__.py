"""`python -m shadowbox`."""

from shadowbox.cli import main

main()
