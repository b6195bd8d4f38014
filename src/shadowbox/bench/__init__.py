"""Benchmarks of the hot paths: one thread, rates per CPU-second, beside plain NumPy and PyTorch.

Every function `bench_*` returns the figures of one run as a flat dictionary.
"""
