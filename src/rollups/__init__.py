"""Counts by day, part of day and endpoint: keys, packed text, histograms, figures, adding. No I/O, no clock. Imports
request_log."""
