"""Terminal summary, run directory, HTML report."""
