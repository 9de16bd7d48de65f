"""The lab: gradient descent at work on the user's own table, in the browser (`gradline lab`) and in notebooks."""

from gradline.lab.notebook import Run, altered, path_plot, play

__all__ = ["Run", "altered", "path_plot", "play"]
