"""Datasets: how are episodes stored and sampled? Stores on disk, batches out of them, audits."""
