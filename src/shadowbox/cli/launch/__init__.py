"""Commands of `launch`, and the option `--workers` of other commands that share their work."""
