"""Command of pipelines: everything from a folder of recordings to a page, in one call."""
