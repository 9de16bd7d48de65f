"""The version of gradline, for whatever is written by it."""

__version__ = "0.1.0"
