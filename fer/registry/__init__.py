"""Model packages, the gate, and registries of versions."""
