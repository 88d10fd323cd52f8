"""A real GGUF model of 0.4 MB with random weights: 2 layers, 64 dimensions, a byte vocabulary."""

from collections.abc import Collection
from pathlib import Path

import gguf
import numpy as np

LAYERS, WIDTH, HEADS, INNER, CONTEXT = 2, 64, 2, 128, 2048
TEMPLATE = "{% for message in messages %}{{ message.content }}\n{% endfor %}"


def write_tiny_model(
    path: Path, *, seed: int = 7, name: str = "tiny", markers: Collection[str] = ()
) -> Path:
    """Write the model; the same arguments give the same bytes.

    With markers, which become tokens, it brings no chat template.
    """
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(name)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    vocabulary = _add_vocabulary(writer, markers)
    if not markers:
        writer.add_chat_template(TEMPLATE)
    _add_tensors(writer, vocabulary, np.random.default_rng(seed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_vocabulary(writer: gguf.GGUFWriter, markers: Collection[str]) -> int:
    special = [b"<unk>", b"<s>", b"</s>"]
    tokens = special + [f"<0x{byte:02X}>".encode() for byte in range(256)]
    letters = [bytes([byte]) for byte in range(33, 127)] + ["\u2581".encode()]
    tokens += letters + [marker.encode() for marker in markers]
    kinds = [2, 3, 3] + [6] * 256 + [1] * len(letters) + [3] * len(markers)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    return len(tokens)


def _add_tensors(writer: gguf.GGUFWriter, vocabulary: int, random: np.random.Generator) -> None:
    def weights(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) * 0.05).astype(np.float32)

    ones = np.ones(WIDTH, dtype=np.float32)
    writer.add_tensor("token_embd.weight", weights(vocabulary, WIDTH))
    writer.add_tensor("output_norm.weight", ones)
    writer.add_tensor("output.weight", weights(vocabulary, WIDTH))
    for layer in range(LAYERS):
        prefix = f"blk.{layer}"
        writer.add_tensor(f"{prefix}.attn_norm.weight", ones)
        writer.add_tensor(f"{prefix}.ffn_norm.weight", ones)
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"{prefix}.{part}.weight", weights(WIDTH, WIDTH))
        writer.add_tensor(f"{prefix}.ffn_gate.weight", weights(INNER, WIDTH))
        writer.add_tensor(f"{prefix}.ffn_up.weight", weights(INNER, WIDTH))
        writer.add_tensor(f"{prefix}.ffn_down.weight", weights(WIDTH, INNER))
