"""Objects in buckets, whichever cloud they are in: one door for S3 and Google Cloud Storage."""
