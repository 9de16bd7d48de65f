"""What the parts of the training rows say: folds, rolling origins, nested selection, the learning curve."""
