"""Moments, the quadratic loss, its certificate, and the coordinates of the loop. NumPy only, no files."""
