"""From video files to face crops and timelines."""
