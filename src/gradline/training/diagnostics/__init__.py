"""What is doubtful about the data and the fit: collinearity, leaks, faults, texts, an easy split."""
