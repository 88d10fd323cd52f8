"""A real GGUF model that only embeds: BERT with random weights, 1 layer, 32 dimensions."""

from pathlib import Path

import gguf
import numpy as np

WIDTH, INNER, CONTEXT = 32, 64, 128
TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "\u2581one", "\u25811", "1", "a")


def write_tiny_bert(path: Path) -> Path:
    """Write the model; the same bytes each time."""
    writer = gguf.GGUFWriter(str(path), "bert")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(2)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(value=False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3] * 5 + [1] * (len(TOKENS) - 5))
    writer.add_token_type_count(2)
    for name, index in (("pad", 0), ("unk", 1), ("bos", 2), ("sep", 3), ("mask", 4)):
        getattr(writer, f"add_{name}_token_id")(index)
    _add_tensors(writer, np.random.default_rng(3))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tensors(writer: gguf.GGUFWriter, random: np.random.Generator) -> None:
    def weights(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) * 0.05).astype(np.float32)

    tables = {"token_embd": len(TOKENS), "token_types": 2, "position_embd": CONTEXT}
    for name, rows in tables.items():
        writer.add_tensor(f"{name}.weight", weights(rows, WIDTH))
    layers = {"attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH, WIDTH), "attn_v": (WIDTH, WIDTH),
              "attn_output": (WIDTH, WIDTH), "ffn_up": (INNER, WIDTH),
              "ffn_down": (WIDTH, INNER)}  # fmt: skip
    for name, shape in layers.items():
        writer.add_tensor(f"blk.0.{name}.weight", weights(*shape))
        writer.add_tensor(f"blk.0.{name}.bias", weights(shape[0]))
    for name in ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, dtype=np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(WIDTH, dtype=np.float32))
