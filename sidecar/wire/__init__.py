"""Wire formats: bytes to domain and back, with no I/O, no clock and no global state.

One file per format and direction. A format that joins gets its own `<format>_request`
and `<format>_reply`, reading into and writing from the same domain types.
"""
