"""Datasets: stores of episodes on disk, batches drawn from them, ingest, edits and audits."""
