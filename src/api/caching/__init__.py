"""Owns what is kept between two questions, and the change feed that says when it is out of date. Does not own questions
or answers: `routes.request_cache` keeps the former, and `questions.responding` the latter."""
