"""Many trainings over a search space: sweepers, their jobs and what they record."""
