"""Small helpers that every room may use, one job a module."""
