"""The statistics over HTTP. Imports storage and service."""
