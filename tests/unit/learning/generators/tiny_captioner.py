"""A BLIP-2 of random weights, small enough to build in a test."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessor,
    PreTrainedTokenizerFast,
)

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
WORDS = ("a", "dark", "wide", "torn", "shoe", "shirt", "bag", "on", "the", "table", "of", "wood")
SIZE, QUERIES, HIDDEN = 16, 4, 16


def build_captioner(folder: Path) -> Path:
    """Processor and model as `save_pretrained` writes them."""
    words = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    base = Tokenizer(WordLevel(words, unk_token="<unk>"))
    base.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=base,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
    )
    size = {"height": SIZE, "width": SIZE}
    processor = Blip2Processor(BlipImageProcessor(size=size), tokenizer, QUERIES)
    layers = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": HIDDEN}
    config = Blip2Config(
        vision_config={"hidden_size": HIDDEN, "image_size": SIZE, "patch_size": 4, **layers},
        qformer_config={
            "hidden_size": HIDDEN,
            "encoder_hidden_size": HIDDEN,
            "vocab_size": len(tokenizer),
            **layers,
        },
        text_config={
            "model_type": "opt",
            "vocab_size": len(tokenizer),
            "hidden_size": HIDDEN,
            "word_embed_proj_dim": HIDDEN,
            "ffn_dim": HIDDEN,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 64,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
        num_query_tokens=QUERIES,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = Blip2ForConditionalGeneration(config)
        with torch.no_grad():  # random weights of the usual size would say one thing to all
            for parameter in model.parameters():
                parameter.normal_(0.0, 0.7)
            written = model.get_input_embeddings().weight  # and the output's: words score above 0
            written[[*range(len(SPECIAL)), len(tokenizer) - 1]] = 0.0
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
