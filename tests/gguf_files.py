"""GGUF files that tests write from a Llama's folder, in llama.cpp's layout."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_OUTER = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def write_gguf(file: Path, llama: Path, kind: str = "F32") -> Path:
    """The Llama in a folder as a GGUF file whose matrices are of that type; its tokenizer is not written."""
    import gguf

    config: dict[str, Any] = json.loads((llama / "config.json").read_text())
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(config["vocab_size"])
    for name, tensor in load_file(llama / "model.safetensors").items():
        module = name.removesuffix(".weight")
        if module.startswith("model.layers."):
            _, _, layer, inner = module.split(".", 3)
            short = f"blk.{layer}.{_NAMES[inner]}.weight"
            heads = {"self_attn.q_proj": "num_attention_heads", "self_attn.k_proj": "num_key_value_heads"}.get(inner)
            values = _interleaved(tensor, config[heads]) if heads else tensor
        else:
            short, values = f"{_OUTER[module]}.weight", tensor
        if kind == "F32" or values.ndim == 1:
            writer.add_tensor(short, values)
        else:
            dtype = gguf.GGMLQuantizationType[kind]
            writer.add_tensor(short, gguf.quants.quantize(values, dtype), raw_dtype=dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _interleaved(weight: Any, heads: int) -> Any:
    """Rows in the order in which llama.cpp rotates them: pairs side by side instead of halves."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))
