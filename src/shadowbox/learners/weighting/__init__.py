"""How much a recorded decision is worth: the skill it was made with, and its advantage."""
