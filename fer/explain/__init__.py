"""What a classifier looked at: attribution maps (Captum), their sanity check, embeddings and nearest training faces."""
