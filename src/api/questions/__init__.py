"""Owns what a question means: its parameters, its range of days, its answer from the store, and the answer's encoding.
Does not own URLs, or what is kept between two questions.

Questions:

statistics      figures of one customer or of all together: over a range, and of each day
series          figures of a customer over time
all_series      figures of all customers together over time
customers       the list of customers
paths           figures by path
path_customers  the customers with requests to a path on a day
distributions   requests by status, and by latency
errors          failed requests of a customer, by path and status
requests        the latest requests of a customer
status          how far each log is counted

What they consist of:

question     what all questions have in common
dates        parameters that are dates
times        parameters that are times
calendar     days, weeks, months and hours of a time zone
percentiles  the parameter `percentiles`
sorting      what a list may be sorted by
paging       pages of the customers, with cursors
validation   validation errors of parameters

Their answers:

responding   responses, from the response cache where they still hold
turns        of long questions a few are answered at once
negotiation  JSON or CSV
encoding     answers as bytes
"""
