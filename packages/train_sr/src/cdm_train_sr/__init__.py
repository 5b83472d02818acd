"""Train a super-resolution stage of a cascade."""
