"""Measurements: each prints a table with its command, seed, machine and versions."""
