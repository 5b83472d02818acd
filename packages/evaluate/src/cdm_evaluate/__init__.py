"""Score samples and write a report."""
