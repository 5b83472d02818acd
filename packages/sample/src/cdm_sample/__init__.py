"""Sample from a cascade."""
