"""Text as words that can be compared: of titles, of questions, in English and Chinese."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

_WORD = re.compile(r"\d+(?:[.,]\d+)*|[\u3400-\u9fff]|[^\W\d_\u3400-\u9fff]+|\d+")
_HAN = re.compile(r"[\u3400-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff]")

_ENGLISH = (
    "a an the of in on at to for from with by and or but as is are was be been am do does did can could would will "
    "should may might have has had i me my mine we us our you your he she they them it its this that these those there "
    "here what which who whom whose when where why how any some one ones please thanks thank hi hello hey just really "
    "very so too also not no if then than more most less much many such like something anything thing item product "
    "buy get give shop store catalogue catalog good nice great under over below above about between up s t re ve ll"
)
_CHINESE = (
    "的了吗呢吧啊呀我你您他她它们是有在和与跟或这那个些件款种把给请要想能可以就都也很还什么哪为谁几多少对于从到一子里"
)

STOP: frozenset[str] = frozenset(_ENGLISH.split()) | frozenset(_CHINESE)
"""Words that say nothing of what is wanted, stemmed as `words` does."""


def normal(text: str) -> str:
    """Text in one form: compatibility forms as their plain ones, in lower case, white space single."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def words(text: str) -> list[str]:
    """The words of a text, stemmed: Latin words, numbers, and every Chinese character by itself."""
    return [_stem(word) for word in _WORD.findall(normal(text))]


@lru_cache(1 << 16)
def known_words(text: str) -> tuple[str, ...]:
    """The same, for texts that come again and again, as values of fields do."""
    return tuple(words(text))


class Placed(NamedTuple):
    """A word of a text that is normal, where it begins and ends (characters), and how it stands there."""

    word: str
    start: int
    end: int
    spelled: str


def placed(text: str) -> list[Placed]:
    """The words of a normal text, as `words` gives them, with their places."""
    return [Placed(_stem(found[0]), found.start(), found.end(), found[0]) for found in _WORD.finditer(text)]


def telling(text: str) -> list[str]:
    """The words of a text that say what is wanted, each once, in their order."""
    return [word for word in dict.fromkeys(words(text)) if word not in STOP]


def phrase(text: str) -> str:
    """A text as one key: two of them are equal if their words are."""
    return joined(words(text))


def joined(found: Sequence[str]) -> str:
    """Words as one key; see `phrase`."""
    return " ".join(found)


def language(text: str) -> str:
    """`zh` for a text with Chinese characters in it (and no Japanese ones), else `en`."""
    return "zh" if _HAN.search(text) and not _KANA.search(text) else "en"


@lru_cache(1 << 16)
def _stem(word: str) -> str:
    """Plurals as singulars, roughly: only ever compared with words that went through the same."""
    if len(word) > 3 and word.isascii() and word.isalpha():
        if word.endswith("ies") and len(word) > 4:
            return word[:-3] + "y"
        if word.endswith(("ches", "shes", "xes", "sses", "zes")):
            return word[:-2]
        if word.endswith("s") and not word.endswith(("ss", "us", "is")):
            return word[:-1]
    return word
