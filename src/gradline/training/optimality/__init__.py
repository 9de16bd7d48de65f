"""How far an iterate is from the minimum, for each kind of problem: solved for, or bounded by duality."""
