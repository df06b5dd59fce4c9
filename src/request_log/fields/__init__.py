"""Says what the text of one field means: a timestamp, a duration, a status. Does not know the formats that have it."""
