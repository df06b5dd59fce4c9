"""Owns the page: its files in `assets/`, served as they are. Does not own any figure: it asks the api for them, as
any client does."""
