"""Anything tabular as blocks of columns, and the contract that later data are held to."""
