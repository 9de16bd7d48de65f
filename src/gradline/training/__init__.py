"""Plan, loop, stopping: a training run."""
