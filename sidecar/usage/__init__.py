"""The ledger of requests: what, who, outcome, every attempt."""
