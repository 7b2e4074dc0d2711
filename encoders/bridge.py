"""Chinese and other texts in one place of a multilingual model's space.

multilingual-e5-small knows what a text means in any language, and keeps languages apart all the same: to an English
query some English item is nearer than the Chinese item that is meant. What sets a language apart is about the same for
all its texts, the difference of the means: Libovický, Rosa & Fraser, "On the Language Neutrality of Pre-trained
Multilingual Representations" (Findings of EMNLP 2020), §3. So a Chinese text's vector is moved by that difference, as
measured on translations; others stay as they are, and so do the nearest Chinese items to a Chinese query.

How Chinese a text is, its own tokens say: the share of those with a Han character among those with a letter. Kana and
Hangul count against it, for Japanese and Korean write Han characters, too, and were not measured.
"""

import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from encoders.base import Vectors
from encoders.weights import Array

PAIRS = (
    ("电视机 55英寸 4K 超高清", "55 inch 4K television"),
    ("台灯 护眼 LED 学习", "LED desk lamp for reading"),
    ("运动水壶 便携", "portable sports bottle"),
    ("女士手提包 真皮", "women's leather handbag"),
    ("牛仔裤 男 修身", "men's slim jeans"),
    ("洗发水 去屑 500毫升", "anti-dandruff shampoo 500 ml"),
    ("毛巾 纯棉 吸水", "absorbent cotton towel"),
    ("枕头 记忆棉", "memory foam pillow"),
    ("手机壳 透明 防摔", "clear shockproof phone case"),
    ("大米 东北 10公斤", "rice 10 kg"),
    ("橄榄油 特级初榨", "extra virgin olive oil"),
    ("牛奶 全脂 1升", "whole milk 1 litre"),
    ("绿茶 茶叶 罐装", "green tea in a tin"),
    ("巧克力 黑 70%", "dark chocolate 70%"),
    ("自行车 山地 27速", "27-speed mountain bike"),
    ("篮球 室外 7号", "outdoor basketball size 7"),
    ("吉他 初学者 木", "wooden guitar for beginners"),
    ("书架 简易 落地", "simple standing bookshelf"),
    ("沙发 布艺 三人", "three-seat fabric sofa"),
    ("窗帘 遮光 卧室", "blackout curtains for the bedroom"),
    ("电钻 充电式 家用", "cordless drill for the home"),
    ("螺丝刀 套装", "screwdriver set"),
    ("花盆 陶瓷 室内", "ceramic flower pot for indoors"),
    ("狗粮 幼犬", "puppy food"),
    ("玩具车 遥控", "remote control toy car"),
    ("拼图 1000片", "1000 piece jigsaw puzzle"),
    ("项链 银 女", "silver necklace"),
    ("手表 男 防水", "men's waterproof watch"),
    ("太阳镜 偏光", "polarised sunglasses"),
    ("围裙 厨房", "kitchen apron"),
    ("笔记本 A5 横线", "A5 lined notebook"),
    ("圆珠笔 黑色 12支", "12 black ballpoint pens"),
    ("打印纸 A4 500张", "A4 printer paper 500 sheets"),
    ("行李箱 24寸 万向轮", "24 inch suitcase with wheels"),
    ("面膜 补水", "moisturising face mask"),
    ("牙膏 薄荷", "mint toothpaste"),
    ("口红 红色", "red lipstick"),
    ("儿童书包 小学生", "school bag for children"),
    ("雨衣 成人", "adult raincoat"),
    ("蜡烛 香薰", "scented candle"),
)
"""Names of goods in Chinese and in English."""

_NEUTRAL = frozenset({"<s>", "<pad>", "</s>", "<unk>", "<mask>", "▁query"})
"""Words of no language: special ones, and the prefix that stands before every text."""


class Bridge(NamedTuple):
    """What moves a vector, and by how much."""

    marks: Array
    """(words, 2): of every word of the model, whether it is Chinese (below 0 where it is Japanese or Korean), and
    whether it has letters."""
    shift: Array
    """(dim,): added to the unit vector of a text that is all Chinese."""


def span(encode: Callable[[Sequence[str]], Vectors], words: Sequence[str]) -> Bridge:
    """Measure a bridge.

    Args:
        encode: gives the model's vectors as they are.
        words: the model's, by id.
    """
    chinese, english = (encode(texts).mean(axis=0) for texts in zip(*PAIRS, strict=True))
    return Bridge(np.array([_marks(word) for word in words], np.float32), np.asarray(english - chinese, np.float32))


def cross(bridge: Bridge, vectors: Vectors, ids: Sequence[Sequence[int]]) -> Vectors:
    """Vectors of texts on the other side, in numpy: what the graph is held against.

    Args:
        bridge: of the model.
        vectors: float32 (n, dim), unit rows, as the model gives them.
        ids: token ids of the n texts.

    Returns:
        float32 (n, dim), unit rows.
    """
    counts = np.stack([bridge.marks[list(row)].sum(axis=0) for row in ids])
    share = np.maximum(counts[:, :1], 0) / np.maximum(counts[:, 1:], 1)
    moved = vectors + share * bridge.shift
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), np.float32)


def _marks(word: str) -> tuple[int, int]:
    scripts = {_script(char) for char in word if char.isalpha()}
    if not scripts or word in _NEUTRAL:
        return 0, 0
    if scripts & {"KATAKANA", "HIRAGANA", "HANGUL"}:
        return -2, 1
    return int("CJK" in scripts), 1


def _script(char: str) -> str:
    """The first word of the character's name, which tells its script."""
    return unicodedata.name(char, "").partition(" ")[0].partition("-")[0]
