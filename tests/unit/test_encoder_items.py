"""Recipes: what of an item goes into its text and its vector."""

import asyncio
from typing import Any

import numpy as np
import pytest

from encoders.hashing import HashingEncoder
from streams.core import itemfeatures
from streams.core.itemfeatures import Block
from streams.errors import ConfigError
from streams.items import ItemEncoder, Recipe, TextPart, load_item_encoder, recipe_of
from streams.records import CatalogueItem
from streams.settings import Settings

MILK = CatalogueItem(
    "1",
    "Oat milk",
    "Without sugar.",
    ["food", "dairy"],
    "Acme",
    price=2.0,
    currency="EUR",
    rating=4.5,
    attributes={"size": "1 l", "organic": True, "frozen": False, "fat": 1.5, "note": None},
    image_vector=[3.0, 4.0],
)
EVERYTHING = Recipe(weights=dict.fromkeys(Block, 1.0), image_dim=2)


def changed(**fields: Any) -> CatalogueItem:
    return CatalogueItem(**{name: getattr(MILK, name) for name in MILK.__struct_fields__} | fields)


def encoded(recipe: Recipe, *items: CatalogueItem) -> np.ndarray:
    encoder = ItemEncoder(HashingEncoder(dim=64), recipe)
    vectors = asyncio.run(encoder.encode(items))
    assert vectors.shape == (len(items), encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    return vectors


def test_the_text_of_an_item() -> None:
    assert Recipe().item_text(MILK) == "Oat milk. Acme. food / dairy. Without sugar."
    assert Recipe().item_text(CatalogueItem("1", "Oat milk")) == "Oat milk"
    recipe = Recipe(text=(TextPart.ATTRIBUTES, TextPart.TITLE))
    assert recipe.item_text(MILK) == "fat 1.5, organic, size 1 l. Oat milk"
    assert Recipe(text=(TextPart.BRAND,)).item_text(CatalogueItem("1", "Oat milk")) == "Oat milk"


def test_text_alone_is_the_encoders_own_vector() -> None:
    own = HashingEncoder(dim=64).encode([Recipe().item_text(MILK)])
    np.testing.assert_array_equal(encoded(Recipe(), MILK), own)


def test_the_cosine_is_the_weighted_mean_of_the_parts() -> None:
    recipe = Recipe(weights={Block.TEXT: 1.0, Block.CATEGORY: 0.5, Block.BRAND: 0.25})
    other = changed(category=["food", "tea"], brand="Other", title="Green tea")
    one, two = encoded(recipe, MILK, other)
    text = encoded(Recipe(), MILK, other)
    category = itemfeatures.category(MILK.category) @ itemfeatures.category(other.category)
    brand = itemfeatures.brand("Acme") @ itemfeatures.brand("Other")
    assert one @ two == pytest.approx((text[0] @ text[1] + 0.5 * category + 0.25 * brand) / 1.75, abs=1e-6)


def test_a_text_by_itself_is_near_the_items_that_say_it() -> None:
    encoder = ItemEncoder(HashingEncoder(dim=64), EVERYTHING)
    (query,) = encoder.words.encode(["oat milk without sugar"])
    assert query.shape == (encoder.dim,)
    assert encoder.words.id == encoder.id
    near, far = encoded(EVERYTHING, MILK, changed(title="Steel bolts", description="", brand=None, category=[]))
    assert query @ near > query @ far


def test_what_an_item_lacks_leaves_the_rest() -> None:
    bare = CatalogueItem("2", "Oat milk")
    recipe = Recipe(weights={Block.TEXT: 1.0, Block.IMAGE: 2.0}, image_dim=2)
    for item in (bare, changed(image_vector=[1.0, 2.0, 3.0]), changed(image_vector=[0.0, 0.0])):
        (vector,) = encoded(recipe, item)
        np.testing.assert_array_equal(vector[64:], 0)
        np.testing.assert_allclose(vector[:64], encoded(Recipe(), item)[0], atol=1e-6)
    assert encoded(recipe, MILK)[0][64:] == pytest.approx(np.sqrt(2 / 3) * np.array([0.6, 0.8]))


def test_paths_brands_prices_and_stars_are_near_where_they_should_be() -> None:
    dairy, tea, wool = (itemfeatures.category(path) for path in (["food", "dairy"], ["food", "tea"], ["cloth", "wool"]))
    assert dairy @ dairy > dairy @ tea + 0.2 > dairy @ wool + 0.4
    assert itemfeatures.brand("Acme") @ itemfeatures.brand("ACME") == pytest.approx(1)
    assert abs(itemfeatures.brand("Acme") @ itemfeatures.brand("Other")) < 0.6
    two, three, ten = (itemfeatures.price(price, "food / dairy") for price in (2.0, 3.0, 10.0))
    assert two @ three == pytest.approx(np.exp(-0.5), abs=0.05)
    assert two @ ten < 0.3
    assert abs(two @ itemfeatures.price(2.0, "cloth / wool")) < 0.6
    assert itemfeatures.rating(4.5) @ itemfeatures.rating(4.6) > itemfeatures.rating(4.5) @ itemfeatures.rating(2.0)
    assert itemfeatures.available(True) @ itemfeatures.available(False) == -1


def test_without_a_value_there_is_no_part() -> None:
    parts = (itemfeatures.category([]), itemfeatures.brand(None), itemfeatures.brand(""), itemfeatures.rating(None))
    assert all(part is None for part in parts)
    assert all(itemfeatures.price(price, "") is None for price in (None, 0.0, float("inf")))


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "Oat drink"}, {"brand": "Other"}, {"category": ["food"]}, {"price": 3.0}, {"rating": 1.0},
        {"available": False}, {"image_vector": [1.0, 0.0]}, {"image_vector": None}, {"currency": "USD"},
    ],
    ids=lambda fields: next(iter(fields)),
)  # fmt: skip
def test_the_digest_changes_with_the_vector(fields: dict[str, Any]) -> None:
    one, two = encoded(EVERYTHING, MILK, changed(**fields))
    assert not np.array_equal(one, two)
    assert EVERYTHING.digest(MILK) != EVERYTHING.digest(changed(**fields))


def test_what_the_recipe_leaves_out_changes_no_digest() -> None:
    for fields in ({"price": 3.0}, {"available": False}, {"rating": 1.0}, {"image_vector": None}, {"id": "9"}):
        assert Recipe().digest(MILK) == Recipe().digest(changed(**fields))


def test_every_recipe_has_a_name_of_its_own() -> None:
    recipes = [
        Recipe(),
        Recipe(text=(TextPart.TITLE,)),
        Recipe(weights={Block.TEXT: 1.0, Block.PRICE: 0.5}),
        Recipe(weights={Block.TEXT: 1.0, Block.PRICE: 0.25}),
        Recipe(weights={Block.TEXT: 1.0, Block.IMAGE: 0.5}, image_dim=2),
        Recipe(weights={Block.TEXT: 1.0, Block.IMAGE: 0.5}, image_dim=3),
    ]
    assert len({recipe.name for recipe in recipes}) == len(recipes)
    assert Recipe(weights={Block.TEXT: 2.0, Block.PRICE: 1.0}).name == recipes[2].name


def test_a_recipe_from_settings_is_part_of_the_model() -> None:
    plain = load_item_encoder(Settings(model="hashing"))
    weighed = load_item_encoder(Settings(model="hashing", item_text="title", item_weights={"category": 0.5}))
    assert plain.recipe == Recipe()
    assert weighed.recipe.item_text(MILK) == "Oat milk"
    assert weighed.id != plain.id
    assert weighed.dim == plain.dim + 64


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"item_text": "title,colour"}, "wanted some of title, brand"),
        ({"item_text": "title,title"}, "name each part once"),
        ({"item_weights": {"colour": 1.0}}, "unknown part 'colour'"),
        ({"item_weights": {"text": 0.0}}, "that of text is above 0"),
        ({"item_weights": {"price": -1.0}}, "weights are 0, or 0.001 to 1000"),
        ({"item_weights": {"price": 1e300}}, "weights are 0, or 0.001 to 1000"),
        ({"item_weights": {"price": float("nan")}}, "weights are 0, or 0.001 to 1000"),
        ({"item_weights": {"image": 1.0}}, "UPWELL_ITEM_IMAGE_DIM"),
    ],
)
def test_wrong_recipes_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe_of(Settings(**settings))
