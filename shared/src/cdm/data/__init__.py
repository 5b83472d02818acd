"""Prepared data sets: the record format, their description, and reading them in a fixed order."""
