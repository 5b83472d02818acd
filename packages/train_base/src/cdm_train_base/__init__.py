"""Train the base stage of a cascade."""
