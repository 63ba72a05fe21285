"""From videos and images to an emotion table and its report."""
