"""Run directories: what they hold, where their results come from, and programs that work on them."""
