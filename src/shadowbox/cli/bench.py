"""`shadowbox bench`: hot paths, measured beside what one would otherwise use."""

from __future__ import annotations

import os

import click

from shadowbox.cli.terminal import emit, json_option, number, progress, table


@click.group()
def bench() -> None:
    """Measure a hot path on one thread; rates are per CPU-second of one process."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # read when the numeric libraries load, so before the benches import them


@bench.command()
@click.option("--frames", default=5_000_000, show_default=True, type=click.IntRange(min=10_000))
@click.option("--length", default=10, show_default=True, type=click.IntRange(min=1), help="Rows a window (K).")
@click.option("--batch", default=4096, show_default=True, type=click.IntRange(min=1))
@json_option
def store(frames: int, length: int, batch: int, as_json: bool) -> None:
    """Writing, opening, drawing windows and decoding a store of generated frames."""
    from shadowbox.bench.store import bench_store

    with progress("writing") as update:
        figures = bench_store(frames, length, batch, update)
    if as_json:
        emit(figures)
    else:
        print(table(["store", ""], [[name, number(value)] for name, value in figures.items()]))
