"""Train a policy on recorded matches, play it, and watch the match. About a minute on two cores.

python examples/train_and_play.py
"""

import shadowbox as sb

store = sb.record("brawl", "aggressive", "based", out="data/first", matches=100, seed=1)
sb.train(store, out="runs/first", preset="small", steps=300, batch=16, lr=3e-3)

policy = sb.load_policy("runs/first")
match = sb.play("brawl", policy, "based", seed=7)
page = sb.save_page(match, "match.html")

winner = ("the policy", "based", "neither")[
    2 if match.outcome.winner is None else match.outcome.winner
]
print(f"{winner} won after {match.episode.frames} frames; the match: {page}")
