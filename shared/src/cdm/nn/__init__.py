"""Networks. Flax is used in this package and nowhere else."""
