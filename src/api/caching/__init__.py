"""Owns what is kept between two questions, and the change feed that says when it is out of date. Does not own questions
or answers: `routes.request_cache` keeps the former, and `questions.responding` the latter.

change_feed       polls the store for its progress, and for what its latest commits have changed
progress          how far the store is, by writer
liveness          which writers are silent
invalidation_log  which customers and days have changed, by the poll that found it
customer_changes  when answers about some customers may have changed
rolled_up_polls   which polls have seen only counts that are rolled up by now
customer_figures  figures of all customers over ranges of days
figures_table     figures of very many customers, as columns
names             names of very many customers, in one piece of memory
row_cache         daily aggregates that the list of customers has read, by customer
customer_days     counts of single customers over ranges of days
span_days         counts of single customers by parts of UTC days, for the days of a time zone
prewarming        reads the figures of all customers before the first question
loading_cache     builds a missing value once for all callers that want it
single_flight     makes one call for all callers that arrive meanwhile
"""
