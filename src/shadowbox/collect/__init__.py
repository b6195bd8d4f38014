"""Collection: where do recordings come from? Matches between agents, and other libraries' environments."""
