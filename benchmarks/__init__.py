"""Benchmarks: speed as ratios that are measured in one run, because machines differ and ratios hardly do."""
