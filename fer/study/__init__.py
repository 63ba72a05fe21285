"""A study: recordings of many people who watched the same things, and what they say together."""
