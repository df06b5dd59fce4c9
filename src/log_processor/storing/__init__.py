"""Takes batches in: stores their requests, keeps their rejected lines as dead letters, and says when to count. How
requests are counted is the business of `counting`. Processors of files and of a topic both begin in `starting`."""
