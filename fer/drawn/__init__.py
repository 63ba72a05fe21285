"""The earlier name of `fer.synthetic`, kept for its command."""
