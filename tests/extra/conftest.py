"""What needs an extra that `make test` doesn't install: collected where it is there."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("sentence_transformers") else ["test_*.py"]
