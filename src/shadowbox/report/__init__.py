"""Reports: what does a person look at? Pages of runs, cards, evaluations, audits and matches."""
