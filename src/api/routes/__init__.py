"""Owns the URLs and their OpenAPI documentation: a route reads parameters and asks a question. Does not own what a
question means or how it is answered.

router          what all routes have in common
request_cache   answers a request that was made before without parsing it again
parameters      the parameters, and how they are parsed
customers       the routes about customers
about_customer  the two routes of each question about one customer
endpoints       the routes about all customers together by path
events          the progress of the store, as Server-Sent Events
sessions        the page's sessions: log in, log out
service         the routes about the service itself
documentation   what the OpenAPI document says about responses
"""
