"""Random unequal sets of units that stay, compact model against gated model.

    .venv/bin/python benchmarks/fuzz_networks.py                 # all structures
    .venv/bin/python benchmarks/fuzz_networks.py --only chunk t5 # those whose names contain a word
    .venv/bin/python benchmarks/fuzz_networks.py --residual      # with residual streams

Each accepted model is compared at `--draws` random sets, with another share in each group, in
evaluation mode. The same model in bfloat16 must take the same decisions.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from l0.common.errors import InputError
from l0.networks import Params, sparsify
from tests.networks.nets import NETS
from tests.networks.taught import TAUGHT
from tests.networks.test_unusual import MODELS
from tests.networks.unequal import UNEQUAL, largest_difference

LIMIT = 1e-5

#: Small models of `transformers`: the class, and settings beside the common ones.
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "albert": ("AlbertModel", {"embedding_size": 16}),
    "bart": ("BartModel", {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2}),
    "bert": ("BertModel", {}),
    "bloom": ("BloomModel", {"n_layer": 2, "n_head": 4}),
    "camembert": ("CamembertModel", {}),
    "codegen": ("CodeGenModel", {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4}),
    "convbert": ("ConvBertModel", {"embedding_size": 32}),
    "data2vec-text": ("Data2VecTextModel", {}),
    "deberta-v2": ("DebertaV2Model", {}),
    "distilbert": ("DistilBertModel", {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}),
    "electra": ("ElectraModel", {"embedding_size": 16}),
    "ernie": ("ErnieModel", {}),
    "falcon": ("FalconModel", {}),
    "gemma": ("GemmaModel", {"head_dim": 8, "num_key_value_heads": 2}),
    "gpt2": ("GPT2Model", {"n_embd": 32, "n_layer": 2, "n_head": 4}),
    "gpt_bigcode": ("GPTBigCodeModel", {"n_embd": 32, "n_layer": 2, "n_head": 4}),
    "gpt_neo": ("GPTNeoModel", {"attention_types": [[["global"], 2]], "num_layers": 2,
                                "num_heads": 4}),
    "gpt_neox": ("GPTNeoXModel", {}),
    "gptj": ("GPTJModel", {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4}),
    "granite": ("GraniteModel", {"num_key_value_heads": 2}),
    "ibert": ("IBertModel", {}),
    "llama": ("LlamaModel", {"num_key_value_heads": 2}),
    "marian": ("MarianModel", {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2}),
    "mbart": ("MBartModel", {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2}),
    "megatron-bert": ("MegatronBertModel", {}),
    "mistral": ("MistralModel", {"num_key_value_heads": 2, "head_dim": 8}),
    "mixtral": ("MixtralModel", {"num_key_value_heads": 2, "num_local_experts": 2}),
    "mobilebert": ("MobileBertModel", {"embedding_size": 16, "intra_bottleneck_size": 16}),
    "mpnet": ("MPNetModel", {}),
    "olmo": ("OlmoModel", {}),
    "opt": ("OPTModel", {"ffn_dim": 48, "word_embed_proj_dim": 32}),
    "pegasus": ("PegasusModel", {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2}),
    "persimmon": ("PersimmonModel", {}),
    "phi": ("PhiModel", {}),
    "qwen2": ("Qwen2Model", {"num_key_value_heads": 2}),
    "qwen3": ("Qwen3Model", {"num_key_value_heads": 2, "head_dim": 8}),
    "rembert": ("RemBertModel", {"input_embedding_size": 16}),
    "roberta": ("RobertaModel", {}),
    "roc_bert": ("RoCBertModel", {"enable_pronunciation": False, "enable_shape": False}),
    "roformer": ("RoFormerModel", {}),
    "stablelm": ("StableLmModel", {"num_key_value_heads": 2}),
    "starcoder2": ("Starcoder2Model", {"num_key_value_heads": 2}),
    "t5": ("T5Model", {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}),
    "umt5": ("UMT5Model", {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}),
    "xlm-roberta": ("XLMRobertaModel", {}),
}  # fmt: skip

#: Models of `transformers` whose residual stream does not reach their output: classes and settings.
HEADED: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertForSequenceClassification", {}),
    "gpt2": ("GPT2LMHeadModel", SMALL["gpt2"][1]),
    "llama": ("LlamaForCausalLM", SMALL["llama"][1]),
    "opt": ("OPTForCausalLM", SMALL["opt"][1]),
    "qwen3": ("Qwen3ForCausalLM", SMALL["qwen3"][1]),
    "roberta": ("RobertaForSequenceClassification", {}),
    "vit": ("ViTForImageClassification", {"image_size": 16, "patch_size": 4}),
    # In its configuration, these are other names of `num_heads` and `num_layers`.
    "swin": ("SwinForImageClassification", {"image_size": 32, "patch_size": 4, "embed_dim": 16,
                                            "depths": [2], "num_attention_heads": [4],
                                            "num_hidden_layers": 1, "window_size": 4}),
    "convnextv2": ("ConvNextV2ForImageClassification", {"image_size": 32, "hidden_sizes": [8, 12],
                                                        "depths": [1, 1], "num_stages": 2}),
}  # fmt: skip

_TWO_INPUTS = {"bart", "marian", "mbart", "pegasus", "t5", "umt5"}


def language_model(kind: str, settings: tuple[str, dict[str, Any]] | None = None) -> Any:
    """Return a function that makes a small model of `transformers`."""

    def make() -> torch.nn.Module:
        import transformers

        name, special = settings or SMALL[kind]
        cls = getattr(transformers, name)
        common = {
            "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
            "intermediate_size": 48, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
            "max_position_embeddings": 64, "decoder_start_token_id": 0,
        }  # fmt: skip
        if settings is not None:
            common["tie_word_embeddings"] = False
        return cls(cls.config_class(**{**common, **special}))

    return make


def tokens(kind: str) -> Any:
    """Return a function that draws the inputs of a language model."""

    def draw() -> dict[str, torch.Tensor]:
        given = {"input_ids": torch.randint(3, 64, (2, 8))}
        if kind in _TWO_INPUTS:
            given["decoder_input_ids"] = torch.randint(3, 64, (2, 5))
        return given

    return draw


def images(size: int) -> Any:
    """Return a function that draws the inputs of a model of images."""
    return lambda: {"pixel_values": torch.randn(2, 3, size, size)}


def structures() -> dict[str, tuple[Any, Any]]:
    """Return all structures: functions that make a model and its inputs, by name."""
    language = {f"transformers {kind}": (language_model(kind), tokens(kind)) for kind in SMALL}
    for kind, settings in HEADED.items():
        size = settings[1].get("image_size")
        draw = tokens(kind) if size is None else images(size)
        language[f"transformers {kind} with a head"] = language_model(kind, settings), draw
    taught = {name: (make, draw) for name, (make, draw, _) in TAUGHT.items()}
    return {**NETS, **MODELS, **UNEQUAL, **taught, **language}


def converted(inputs: Any, dtype: torch.dtype) -> Any:
    """Return floating-point inputs in a precision."""
    if isinstance(inputs, dict):
        return {key: converted(x, dtype) for key, x in inputs.items()}
    return inputs.to(dtype) if inputs.is_floating_point() else inputs


def decisions(make: Any, draw: Any, dtype: torch.dtype, residual: bool) -> Any:
    """Return the sparsifier and its inputs; or the message, if the model is refused."""
    torch.manual_seed(0)
    model, inputs = make().eval().to(dtype), converted(draw(), dtype)
    try:
        return sparsify(model, inputs, Params(0.99), residual=residual), inputs
    except InputError as error:
        return str(error), inputs


def named(sparsifier: Any) -> Any:
    """Return the decisions that must not depend on the precision."""
    if isinstance(sparsifier, str):
        return "refused"
    return [(group.name, group.n_units) for group in sparsifier.structure.groups]


def main() -> None:
    """Print a row for each structure; the exit status tells whether one differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[""], help="words in the names of structures")
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument(
        "--residual", action="store_true", help="gates on residual streams under norms too"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print("| structure | groups | left out | difference | bfloat16 | seconds |")
    print("|---|--:|--:|--:|---|--:|")
    missed = []
    for name, (make, draw) in structures().items():
        if not any(word in name for word in options.only):
            continue
        start = time.process_time()
        try:
            sparsifier, inputs = decisions(make, draw, torch.float32, options.residual)
        except Exception as error:
            print(f"| {name} | | | {type(error).__name__}: {str(error)[:60]} | | |", flush=True)
            missed.append(name)
            continue
        half = decisions(make, draw, torch.bfloat16, options.residual)[0]
        same = named(sparsifier) == named(half)
        if isinstance(sparsifier, str):
            print(f"| {name} | refused: {sparsifier[:60]} | | | {same} | |", flush=True)
            continue
        try:
            worst = largest_difference(sparsifier, inputs, options.draws)
        except Exception:
            worst = float("inf")
        if worst > LIMIT or not same:
            missed.append(name)
        row = f"{len(sparsifier.structure.groups)} | {len(sparsifier.structure.left_out)}"
        seconds = time.process_time() - start
        shown = "same" if same else "other"
        print(f"| {name} | {row} | {worst:.1e} | {shown} | {seconds:.0f} |", flush=True)
    print(f"MISS: {', '.join(missed)}" if missed else "ok: all equal, in both precisions")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
