"""Answers that were given before: found by equality or by meaning, in memory and on disk.

`tiers.Cache` is the face; the files beneath it each know one thing. The way in:
`key` and `policy` decide (pure), `entry` is what is kept, `exact` and `semantic` find it
in memory, `store` keeps it on disk, `eviction` says what goes first.
"""
