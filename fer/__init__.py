"""Facial-expression experiments from one declarative configuration."""
