"""Owns the response models, from which the OpenAPI document is made. Does not own how their values are computed, which
`rollups` does, or how they are encoded."""
