"""Owns what a question means: its parameters, its range of days, its answer from the store, and the answer's encoding.
Does not own URLs, or what is kept between two questions."""
