"""What to do on a score: events, policies, what they cost. Pure functions of numbers."""
