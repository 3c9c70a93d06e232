"""How fast the ONNX session alone embeds the texts on stdin, one a run, on one thread.

    python -m benchmarks.embed_alone [PAUSE_MS]

With a pause before each text, as calls leave one, caches and clocks are as cold as in a
server that waits for its next request.
"""

from __future__ import annotations

import json
import sys
import time

from sidecar.embed import open_embedder


def main() -> int:
    """Embed each line once; prints texts per second and the median in milliseconds."""
    pause_s = float(sys.argv[1]) / 1e3 if len(sys.argv) > 1 else 0.0
    texts = [line for line in sys.stdin.read().split("\n") if line]
    embedder = open_embedder(threads=1)
    for text in texts[:20]:
        embedder.embed(text)
    spent = []
    for text in texts:
        time.sleep(pause_s)
        began = time.perf_counter()
        embedder.embed(text)
        spent.append(time.perf_counter() - began)
    result = {"per_s": len(texts) / sum(spent), "p50_ms": sorted(spent)[len(spent) // 2] * 1e3}
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
