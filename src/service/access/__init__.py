"""Owns keys: what a key lets its holder see, the file that holds the keys, and when a service asks for one.

Does not own HTTP: a service finds the key in a request by itself.
"""
