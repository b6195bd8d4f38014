"""Hot paths measured beside what a user would otherwise write, in one run, on one thread, per CPU-second."""
