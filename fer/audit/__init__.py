"""Audits of a classifier: groups of people, kinds of pictures, corruptions, and the labels themselves."""
