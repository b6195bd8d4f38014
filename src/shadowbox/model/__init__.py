"""Networks over schemas: codec, trunks, heads, policies and their checkpoints.

Torch is imported in this room and above it; code here works with schemas and knows no game.
"""
