"""Writes an access log as an API under load would: request lines at a steady rate. Imports request_log and service."""
