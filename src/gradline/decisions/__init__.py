"""What an error costs, and what is decided on a score."""
