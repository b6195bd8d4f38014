"""Strategy: encoders of an opponent's history, and their attention and latents while a policy plays."""
