"""Amazon Web Services: requests, S3, jobs."""
