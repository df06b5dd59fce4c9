"""The version of the project: pyproject.toml, the OpenAPI document and the images take it from here."""

VERSION = "1.0.0"
