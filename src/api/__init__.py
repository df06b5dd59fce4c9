"""Owns the statistics over HTTP and the page. Does not own figures, which `rollups` computes, or what is stored.

app           built of its parts
settings      the settings
routes/       the URLs, and their OpenAPI documentation
questions/    what a question means, and its answer
schemas/      the models of answers
caching/      what is kept between two questions
access/       who is asking
http/         what every request passes through
page/         the page
utc           UTC days and times
zones         time zones
keys_command  the command `keys`
"""
