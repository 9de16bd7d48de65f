"""The search for a representation, and the error by polynomial degree, on a sample of the training rows."""
