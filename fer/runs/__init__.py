"""Run directories: what they hold, where their results come from, and the programs that write them."""
