"""Keep: a run's record, the folder of a study, and both as tables."""
