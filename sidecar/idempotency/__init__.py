"""Answers under an `Idempotency-Key`: made once, kept for a day, given again as they were."""
