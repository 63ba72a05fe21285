"""What leaves a training: weights, metadata, and the predictor that loads them."""
