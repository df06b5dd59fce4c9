"""Owns the statistics over HTTP and the page. Does not own figures, which `rollups` computes, or what is stored."""
