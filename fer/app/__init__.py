"""The dashboard in the browser: clips to analyse by infer.py; runs, comparisons, studies and registry to look at."""
