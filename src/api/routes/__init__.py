"""Owns the URLs and their OpenAPI documentation: a route reads parameters and asks a question. Does not own what a
question means or how it is answered."""
