"""A sidecar that answers near-duplicate prompts from a verified cache and forwards the rest."""

__version__ = "0.1.0"
