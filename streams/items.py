"""How an item of the catalogue becomes a vector: by a recipe, from its words and from what else is known of it.

    item ─► recipe ─► text ─────► micro-batches ─► encoder ─► text vector ─┐
              └─────► features (pure, `core.itemfeatures`) ────────────────┴─► fused unit vector

Everything that determines a vector is in the encoder's id: model, precision, and the recipe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b

import numpy as np

from encoders.base import Encoder, Vectors
from encoders.microbatch import EncodingStats, MicroBatcher
from streams.codecs import DIGEST_SIZE
from streams.core import itemfeatures
from streams.core.itemfeatures import DIMS, Block
from streams.errors import ConfigError
from streams.records import CatalogueItem
from streams.settings import Settings


class TextPart(StrEnum):
    """A part of an item's text."""

    TITLE = "title"
    BRAND = "brand"
    CATEGORY = "category"
    ATTRIBUTES = "attributes"
    DESCRIPTION = "description"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What of an item goes into its vector.

    Attributes:
        text: the parts of its text, in order; those that an item lacks are left out.
        weights: of every part of the vector; only their proportions count.
        image_dim: length of the producer's image vectors; another length counts as no image.
    """

    text: tuple[TextPart, ...] = (TextPart.TITLE, TextPart.BRAND, TextPart.CATEGORY, TextPart.DESCRIPTION)
    weights: Mapping[Block, float] = field(default_factory=lambda: {Block.TEXT: 1.0})
    image_dim: int = 0

    @property
    def name(self) -> str:
        """Names everything that the recipe does."""
        others = [f"{self.weights[block] / self.weights[Block.TEXT]:.6g} {block}" for block in self.features]
        image = [f"{self.image_dim} wide"] if Block.IMAGE in self.features else []
        return " + ".join([". ".join(self.text), *others, *image])

    @property
    def features(self) -> list[Block]:
        """The parts of the vector beside the text, in their order."""
        return [block for block in Block if block is not Block.TEXT and self.weights.get(block, 0) > 0]

    def length(self, block: Block) -> int:
        """Coordinates of a part beside the text."""
        return self.image_dim if block is Block.IMAGE else DIMS[block]

    def item_text(self, item: CatalogueItem) -> str:
        """The text of an item; its title where it has none of the parts."""
        parts = (_words(item, part).strip() for part in self.text)
        return ". ".join(part for part in parts if part) or item.title

    def fuse(self, text: Vectors, items: Sequence[CatalogueItem]) -> Vectors:
        """Unit vectors of items from those of their texts; see `core.itemfeatures.fuse`."""
        blocks = [
            (self.weights[block], self.length(block), [self._block(item, block) for item in items])
            for block in self.features
        ]
        return itemfeatures.fuse(text, blocks, self.weights[Block.TEXT])

    def digest(self, item: CatalogueItem) -> bytes:
        """16 bytes that change whenever the item's vector does."""
        state = blake2b(self.item_text(item).encode("utf-8", "surrogatepass"), digest_size=DIGEST_SIZE)
        for block in self.features:
            vector = self._block(item, block)
            state.update(b"-" if vector is None else b"+" + vector.tobytes())
        return state.digest()

    def _block(self, item: CatalogueItem, block: Block) -> itemfeatures.Vector | None:
        if block is Block.CATEGORY:
            return itemfeatures.category(item.category)
        if block is Block.BRAND:
            return itemfeatures.brand(item.brand)
        if block is Block.PRICE:
            return itemfeatures.price(item.price, within=" / ".join([*item.category, item.currency or ""]))
        if block is Block.RATING:
            return itemfeatures.rating(item.rating)
        if block is Block.AVAILABLE:
            return itemfeatures.available(item.available)
        return itemfeatures.image(item.image_vector, self.image_dim)


def _words(item: CatalogueItem, part: TextPart) -> str:
    if part is TextPart.TITLE:
        return item.title
    if part is TextPart.BRAND:
        return item.brand or ""
    if part is TextPart.CATEGORY:
        return " / ".join(item.category)
    if part is TextPart.DESCRIPTION:
        return item.description
    # Producers need not keep an order of attributes; the text has one, so that it does not change with theirs.
    stated = sorted((name, value) for name, value in item.attributes.items() if value not in (None, False, ""))
    return ", ".join(name if value is True else f"{name} {value}" for name, value in stated)


def recipe_of(settings: Settings) -> Recipe:
    """The recipe that the settings say.

    Raises:
        ConfigError: an unknown part, the same part twice, a weight that is no weight, or images without a length.
    """
    try:
        text = tuple(TextPart(part.strip()) for part in settings.item_text.split(","))
    except ValueError:
        raise ConfigError(
            f"UPWELL_ITEM_TEXT is {settings.item_text!r}: wanted some of {', '.join(TextPart)}, separated by commas"
        ) from None
    if len(set(text)) < len(text):
        raise ConfigError(f"UPWELL_ITEM_TEXT is {settings.item_text!r}: name each part once")
    if unknown := sorted(settings.item_weights.keys() - set(Block)):
        raise ConfigError(f"UPWELL_ITEM_WEIGHTS: unknown part {unknown[0]!r}; there are {', '.join(Block)}")
    weights = {Block.TEXT: 1.0} | {Block(name): weight for name, weight in settings.item_weights.items()}
    if not (weights[Block.TEXT] and all(weight == 0 or 0.001 <= weight <= 1000 for weight in weights.values())):
        raise ConfigError("UPWELL_ITEM_WEIGHTS: weights are 0, or 0.001 to 1000, and that of text is above 0")
    if weights.get(Block.IMAGE) and not settings.item_image_dim:
        raise ConfigError("UPWELL_ITEM_WEIGHTS weighs images: say in UPWELL_ITEM_IMAGE_DIM how long their vectors are")
    return Recipe(text, weights, settings.item_image_dim)


class Words:
    """Texts by themselves, such as what a shopper types, as vectors that can be held against those of items.

    An `encoders.base.Encoder`: the parts beside the text are zero, so a cosine is that of the texts, scaled.
    """

    def __init__(self, encoder: Encoder, dim: int) -> None:
        self._encoder = encoder
        self.id = encoder.id
        self.dim = dim

    @property
    def provider(self) -> str:
        """What runs the model at present."""
        return self._encoder.provider

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode texts, in order: float32 (len(texts), dim), unit rows."""
        return np.pad(self._encoder.encode(texts), ((0, 0), (0, self.dim - self._encoder.dim)))


class ItemEncoder:
    """An encoder with a recipe. For one event loop at a time.

    Args:
        encoder: of texts; its id must be made with `recipe.name` as the template.
        recipe: what of an item goes into its vector.
        window: items that are encoded together.
    """

    def __init__(self, encoder: Encoder, recipe: Recipe | None = None, window: int = 64) -> None:
        self.recipe = recipe or Recipe()
        self.id = encoder.id
        self.dim = encoder.dim + sum(map(self.recipe.length, self.recipe.features))
        self.words: Encoder = Words(encoder, self.dim)
        self._texts = MicroBatcher(encoder, window=window)

    @property
    def stats(self) -> EncodingStats:
        """What was encoded since the start."""
        return self._texts.stats

    @property
    def provider(self) -> str:
        """What runs the model at present."""
        return self.words.provider

    async def encode(self, items: Sequence[CatalogueItem]) -> Vectors:
        """Vectors of items, in order: float32 (len(items), dim), unit rows."""
        return self.recipe.fuse(await self._texts.encode([self.recipe.item_text(item) for item in items]), items)


def load_item_encoder(settings: Settings, model: str | None = None, *, require_gpu: bool = False) -> ItemEncoder:
    """The encoder that the settings name, or another model, with the settings' recipe.

    Raises:
        ConfigError: the recipe is wrong.
        EncoderError: as `encoders.models.load_encoder`.
    """
    from encoders.models import load_encoder

    recipe = recipe_of(settings)
    encoder = load_encoder(
        model or settings.model,
        settings.cache_dir,
        template=recipe.name,
        token_budget=settings.encode_tokens,
        require_gpu=require_gpu or settings.require_gpu,
    )
    return ItemEncoder(encoder, recipe, settings.encode_batch)
