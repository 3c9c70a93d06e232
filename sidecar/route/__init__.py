"""Which provider and model answers, and the record of every attempt."""
