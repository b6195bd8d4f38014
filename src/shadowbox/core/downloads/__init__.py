"""Downloads that are pinned by their digests."""
