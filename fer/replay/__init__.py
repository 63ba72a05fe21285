"""A run repeated from its run.yaml and compared, bit for bit."""
