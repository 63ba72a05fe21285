"""The network, its losses and its gradual unfreezing."""
