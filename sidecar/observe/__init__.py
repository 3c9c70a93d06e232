"""Sinks over `sidecar.events`: logs and metrics. None can fail a request."""
