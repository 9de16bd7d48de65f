"""The saved model."""
