"""From rows to roles."""
