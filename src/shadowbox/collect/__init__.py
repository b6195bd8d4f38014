"""Where recordings come from: matches between agents, and other environments."""
