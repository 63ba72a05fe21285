"""What a batch looks like beside the training data and beside ground truth."""
