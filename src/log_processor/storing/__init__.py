"""Takes batches in: stores their requests, keeps their rejected lines as dead letters, and says when to count. How
requests are counted is the business of `counting`. `writer` is where a processor of files and one of a topic begin."""
