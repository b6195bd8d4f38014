"""Benchmarks: how fast are the hot paths? One run, one thread, per CPU-second, beside NumPy and PyTorch."""
