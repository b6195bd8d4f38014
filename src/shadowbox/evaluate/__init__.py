"""Is an agent any good? Figures beside baselines, with intervals."""
