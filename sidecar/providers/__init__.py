"""Where answers come from: one file for each vendor, one HTTP client under all of them.

This room turns a domain request into a vendor's HTTP and its reply back into domain
types. It refuses to decide which provider is asked, how often, or what happens after
a failure: it reports one attempt truthfully. The invariant: whatever goes wrong leaves
here as an `UpstreamError` with a one-word reason, and no text of it holds a secret.
"""
