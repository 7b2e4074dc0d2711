"""A filter or a boost of a request changes the recommendations, whoever ranks them."""

from typing import Any
from urllib.parse import quote

import pytest

from streams.core.ranking import ENOUGH, Model
from tests.unit.http_shop import HttpShop


@pytest.fixture
def shop() -> HttpShop:
    return HttpShop()


@pytest.mark.parametrize("learnt", [False, True])
async def test_a_filter_changes_the_recommendations(shop: HttpShop, learnt: bool) -> None:
    replica = shop.shop.replica
    if learnt:
        replica.ranker.examples, replica.ranker.means[Model.LEARNT] = ENOUGH, 0.5

    async def items(rule: str = "") -> dict[str, float]:
        path = f"/v1/users/anna/recommendations?n=20{rule}"
        async with http.get(path) as response:
            assert response.status == 200, await response.text()
            found: list[dict[str, Any]] = (await response.json())["items"]
            return {item["item"]: item["score"] for item in found}

    async with shop.client() as http:
        everything = await items()
        kinds = {replica.facts[item].category for item in everything}
        assert len(kinds) > 1
        for kind in kinds:
            rule = f'category = "{kind}"' if kind else "not has category"
            left = await items(f"&filter={quote(rule)}")
            assert set(left) == {item for item in everything if replica.facts[item].category == kind}
        (last, score) = list(everything.items())[-1]
        rule = f'id = "{last}" by 9'
        assert (await items(f"&boost={quote(rule)}"))[last] == pytest.approx(9 * score, rel=1e-3)
