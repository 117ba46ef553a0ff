"""A narrow model of the same architecture: small random weights, float32, every kind of layer, short windows.

What a trial finds out about an architecture does not depend on its width or on what it has learned. So it is made with
a model of the same class and of a configuration whose sizes are replaced by name: it costs a fraction of a second, fits
beside a model of any size, and a prompt of fifty tokens crosses its windows, blocks and changes of rotary embedding.
"""

import copy
import math
from typing import Any, cast

import torch
from transformers import PreTrainedModel

from .model_facts import rope_parts, text_config

VOCABULARY = 97
WINDOW = 13
"""Tokens of a sliding window."""
SWITCH = 24
"""Tokens up to which a rotary embedding that depends on the length is the short one."""
POSITIONS = 128
_MOST_LAYERS = 24
_HEADS, _HEAD, _WIDTH = 4, 16, 64

_SIZES: dict[str, int] = {
    **dict.fromkeys(
        ("hidden_size", "n_embd", "d_model", "dim", "model_dim", "embed_dim", "hidden_dim", "ple_embed_dim"), _WIDTH
    ),
    **dict.fromkeys(("lru_width", "embedding_size", "word_embed_proj_dim", "embedding_dim"), _WIDTH),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "d_ff", "d_inner"), 64),
    **dict.fromkeys(("decoder_ffn_dim", "encoder_ffn_dim", "dense_attention_dim", "feed_forward_size"), 64),
    **dict.fromkeys(("moe_intermediate_size", "expert_ffn_hidden_size", "expert_hidden_size"), 32),
    **dict.fromkeys(("shared_expert_intermediate_size", "intermediate_size_mlp", "block_ff_dim"), 32),
    **dict.fromkeys(("num_attention_heads", "n_head", "num_heads", "n_heads", "attn_num_heads"), _HEADS),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads", "swa_num_attention_heads"), _HEADS),
    **dict.fromkeys(("head_dim", "kv_channels", "d_kv", "global_head_dim", "swa_head_dim"), _HEAD),
    **dict.fromkeys(("v_head_dim", "qk_nope_head_dim", "qk_rope_head_dim", "index_head_dim", "swa_v_head_dim"), _HEAD),
    **dict.fromkeys(("rotary_dim", "rotary_embedding_dim"), 8),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "o_lora_rank", "hidden_size_per_layer_input"), 32),
    **dict.fromkeys(("mamba_d_state", "state_size", "ssm_state_size", "time_step_rank", "mamba_dt_rank"), 16),
    **dict.fromkeys(("mamba_d_ssm", "attention_hidden_size"), 2 * _WIDTH),
    **dict.fromkeys(("mamba_d_head", "mamba_head_dim", "mamba_headdim"), _HEAD),
    **dict.fromkeys(("mamba_n_heads", "mamba_num_heads", "n_mamba_heads"), 2 * _WIDTH // _HEAD),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim", "linear_head_dim"), _HEAD),
    "linear_num_heads": _HEADS,
    **dict.fromkeys(("qk_head_dim", "attention_head_dim"), 2 * _HEAD),
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "index_n_heads": 2,
}
_MOST: dict[str, int] = {
    **dict.fromkeys(("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts", "zero_expert_num"), 16),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "moe_top_k"), 4),
    **dict.fromkeys(("n_group", "num_expert_group"), 4),
    **dict.fromkeys(("topk_group",), 2),
    **dict.fromkeys(("mamba_n_groups", "mamba_ngroups", "n_groups"), 2),
}
_LENGTHS: dict[str, int] = {
    **dict.fromkeys(
        ("sliding_window", "attention_window_size", "window_size", "keep_window_size", "local_attention"), WINDOW
    ),
    **dict.fromkeys(("attention_chunk_size", "chunk_size", "mamba_chunk_size", "block_size"), 16),
    "index_block_size": 8,
    "index_topk": 3,  # so few that some are taken of keys that no head looks at: which ones, may depend on the length
    "index_topk_blocks": 2,
    "floor_scale": 16,  # Llama 4's attention is tempered by place from here on
    "ngram_vocab_size_base": 1000,
    **dict.fromkeys(("original_max_position_embeddings",), SWITCH),
    **dict.fromkeys(("n_positions", "n_ctx", "max_target_positions", "max_sequence_length"), POSITIONS),
    "max_position_embeddings": POSITIONS,
}
_MULTIPLIERS: dict[str, float] = {
    **dict.fromkeys(("embedding_multiplier", "residual_multiplier", "key_multiplier", "mlp_multipliers"), 1.25),
    **dict.fromkeys(("attention_in_multiplier", "attention_out_multiplier", "ssm_in_multiplier"), 1.25),
    **dict.fromkeys(("ssm_out_multiplier", "ssm_multipliers", "lm_head_multiplier", "output_multiplier"), 1.25),
    **dict.fromkeys(("logit_scale", "logits_scaling", "logits_mup_width_multiplier"), 1.25),
    "attention_multiplier": 1 / math.sqrt(_HEAD),
}
"""What multiplies activations: for a real width, it would damp a narrow one until no mistake showed. Not 1, so that a
factor that is forgotten does."""
_HEADS_NAMES = ("num_attention_heads", "n_head", "num_heads", "n_heads")
_KEY_VALUE_HEADS = ("num_key_value_heads", "n_head_kv", "num_kv_heads", "swa_num_key_value_heads")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers")


def narrow_model(model: PreTrainedModel) -> PreTrainedModel:
    """A narrow model of the architecture of `model`, in float32 on its device, with random weights of its own seed.

    Raises whatever the architecture raises where it can't be built so.
    """
    architecture: Any = type(model)
    config = narrow_config(model.config, layers_of_every_kind(model))
    random: Any = torch.random
    with random.fork_rng(devices=[]), torch.device("cpu"):
        random.manual_seed(0)
        narrow: Any = architecture._from_config(config, dtype=torch.float32)
        narrow.float()
        _draw(narrow)
    own: Any = model.config
    narrow.set_attn_implementation(own._attn_implementation)
    return narrow.to(model.device if model.device.type != "meta" else "cpu").eval()


def layers_of_every_kind(model: PreTrainedModel) -> int:
    """The smallest number of leading layers among which there is one of each kind that the model has."""
    kinds = [_kind(layer) for layer in _layers(model)]
    types: list[str | None] = [*(getattr(text_config(model), "layer_types", None) or ())][: len(kinds)]
    types += [None] * (len(kinds) - len(types))
    labelled = list(zip(kinds, types, strict=True))
    needed = max((labelled.index(kind) for kind in labelled), default=0) + 1
    return min(max(needed, 2), _MOST_LAYERS, max(len(kinds), 1))


def _layers(model: PreTrainedModel) -> list[torch.nn.Module]:
    """The layers of the language model: its longest list of modules that are numbered."""
    wanted: Any = getattr(text_config(model), "num_hidden_layers", None)
    modules: list[Any] = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    lists: list[list[torch.nn.Module]] = [list(module) for module in modules]
    none: list[torch.nn.Module] = []
    return next((layers for layers in lists if len(layers) == wanted), max(lists, key=len, default=none))


def _kind(layer: torch.nn.Module) -> str:
    """The modules of a layer and what is switched on and off in them."""
    kinds: list[tuple[str, str, list[str]]] = []
    whole: Any = layer
    for name, module in whole.named_modules():
        switches = [
            f"{key}={value}" for key, value in module.__dict__.items() if value is None or isinstance(value, bool)
        ]
        kinds.append((name, type(module).__name__, sorted(switches)))
    return repr(kinds)


def narrow_config(config: Any, layers: int) -> Any:
    """A copy of a configuration with small sizes, short lengths and `layers` layers; parts of it likewise."""
    narrow = copy.deepcopy(config)
    _shrink(narrow, layers)
    return narrow


def _shrink(config: Any, layers: int) -> None:
    own: dict[str, Any] = config.__dict__
    fields = {name: value for name, value in own.items() if not name.startswith("_")}
    depth = next((fields[name] for name in _LAYERS if isinstance(fields.get(name), int)), None)
    heads = next((fields[name] for name in _HEADS_NAMES if fields.get(name)), 1)
    for name, value in fields.items():
        if hasattr(value, "to_diff_dict"):
            _shrink(value, layers)
        elif name in _MULTIPLIERS:
            if value:
                count = len(cast(list[float], value)) if isinstance(value, list) else 0
                setattr(config, name, [_MULTIPLIERS[name]] * count or _MULTIPLIERS[name])
        elif depth and type(value) is list and len(cast(list[Any], value)) == depth:
            setattr(config, name, [_SIZES[name]] * layers if name in _SIZES else value[:layers])
        elif isinstance(value, int) and not isinstance(value, bool):
            setattr(config, name, _small(name, value, heads, layers))
        elif name in {"initializer_range", "init_std"}:
            setattr(config, name, 0.2)
    if "expand" in fields and "num_heads" in fields:  # Mamba 2 has heads of its inner width
        config.num_heads = int(fields["expand"] * _WIDTH) // _HEAD
    if depth and fields.get("num_kv_shared_layers"):
        config.num_kv_shared_layers = max(1, layers - (depth - fields["num_kv_shared_layers"]))
    if fields.get("rope_parameters"):
        _shorten_rope(config, fields)


def _small(name: str, value: int, heads: Any, layers: int) -> int:
    if name.startswith("vocab_size"):
        return VOCABULARY
    if name.endswith("_token_id"):
        return value if value < VOCABULARY else 2
    if name in _LAYERS:
        return min(value, layers)
    if name in _KEY_VALUE_HEADS:
        return _HEADS if value == heads else 1 if value == 1 else 2
    if name in _SIZES:
        return _SIZES[name] if value else 0
    return min(value, {**_MOST, **_LENGTHS}.get(name, value))


def _shorten_rope(config: Any, fields: dict[str, Any]) -> None:
    """The lengths at which a rotary embedding changes, and its lists with an entry for each frequency."""
    for part in rope_parts(fields["rope_parameters"]):
        frequencies = max(1, int(_HEAD * part.get("partial_rotary_factor", 1.0)) // 2)
        if "original_max_position_embeddings" in part:
            part["original_max_position_embeddings"] = SWITCH
        for name in ("short_factor", "long_factor"):
            if name in part:
                part[name] = [part[name][index * len(part[name]) // frequencies] for index in range(frequencies)]
        if "mrope_section" in part:
            thirds = [frequencies // 3] * 2
            part["mrope_section"] = [frequencies - sum(thirds), *thirds]
        if part.get("rope_type") == "dynamic":
            config.max_position_embeddings = SWITCH


@torch.no_grad()
def _draw(model: torch.nn.Module) -> None:
    """Weights large enough for the output to depend strongly on everything that a token sees."""
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2 and "A_log" not in name:
            parameter.normal_(0, 1.5 / math.sqrt(parameter.shape[-1]))
        else:
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
