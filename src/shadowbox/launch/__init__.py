"""Launch: how does a card run elsewhere? Detached here, under torchrun, slurm, Modal or Ray."""
