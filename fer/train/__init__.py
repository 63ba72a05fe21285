"""From a configuration to a trained, evaluated and reported model."""
