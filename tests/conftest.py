"""What every test shares. Its place puts this folder on the path: `from reference import …`."""
