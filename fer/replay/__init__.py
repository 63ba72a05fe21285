"""A run repeated from its run.yaml and compared with it, bit for bit."""
