"""From video files to face crops: reader, sampling, detectors, crop, quality, tracker."""
