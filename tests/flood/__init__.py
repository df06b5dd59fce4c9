"""The flood: connections that ask for nothing, hostile lines and false customers, all at once, beside real customers.

connections  idle and half-sent connections to the api
log          the log, with the lines of real and false customers
stored       customers that the store has from earlier days
run          puts these together, asks, and measures
"""
