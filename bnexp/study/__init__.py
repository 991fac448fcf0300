"""A study as a value: what is varied, which runs follow, and which of them train together."""
