"""Finds the fields of a line, a module for each kind of format. What the text of a field means is not decided here, but
in `fields`; only `simple` has stricter rules of its own."""
