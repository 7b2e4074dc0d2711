"""How people ask, in English and Chinese: the turns of phrase that say what is asked, and what prices may be.

All patterns are for text that went through `words.normal`. Nothing here knows a catalogue.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from streams.core.answers.plan import Kind, Order
from streams.core.answers.words import phrase
from streams.core.rules.syntax import All, Comparison, Condition, Field, Operator

GAP = " ; "
"""Stands where something was taken out of a text, so that what was apart does not come together."""

_CURRENCIES: dict[str, frozenset[str]] = {
    "€|eur|euros?|欧元": frozenset({"EUR"}),
    "£|gbp|pounds?|英镑": frozenset({"GBP"}),
    r"usd|us\$|美元": frozenset({"USD"}),
    r"\$|dollars?|bucks": frozenset({"USD", "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "MXN"}),
    "cny|rmb|yuan|元|块钱|块|人民币": frozenset({"CNY"}),
    "¥": frozenset({"CNY", "JPY"}),
    "jpy|yen|日元": frozenset({"JPY"}),
}
_MONEY = "|".join(_CURRENCIES)
_UNIT = (
    r"(?!\s*(?:%|年|岁|厘米|毫米|公斤|克|升|寸|"
    r"(?:cm|mm|m|km|kg|g|mg|lbs?|oz|ml|cl|l|inch(?:es)?|in|ft|feet|watts?|w|v|gb|tb|mb|years?|pieces?)\b))"
)
# Possessive, and nothing before it that belongs to it: a long row of digits is looked at once.
_NUMBER = r"(?<!\d)(?<!\d[.,])\d{1,9}+(?:[.,]\d{1,9}+){0,4}+(?!\d|[.,]\d)"


def _amount(name: str) -> str:
    before, after = rf"(?:(?P<before_{name}>{_MONEY})\s*)?", rf"(?:\s*(?P<after_{name}>{_MONEY})(?![a-z]))?"
    return rf"{before}(?P<{name}>{_NUMBER}){_UNIT}{after}"


_LOW, _HIGH = _amount("low"), _amount("high")

_LIMITS: tuple[tuple[re.Pattern[str], Operator | None, Operator | None], ...] = tuple(
    (re.compile(pattern), low, high)
    for pattern, low, high in (
        (rf"\b(?:between|from)\s+{_LOW}\s*(?:and|to|-|–)\s*{_HIGH}", Operator.AT_LEAST, Operator.AT_MOST),
        (rf"(?:在)?{_LOW}\s*(?:到|至|-|–|~)\s*{_HIGH}(?:之间)?", Operator.AT_LEAST, Operator.AT_MOST),
        (rf"(?:低于|少于|不到|小于|不足)\s*{_HIGH}", None, Operator.LESS),
        (rf"(?:不超过|不高于|最多|至多|预算(?:是|为|在)?)\s*{_HIGH}", None, Operator.AT_MOST),
        (rf"{_HIGH}\s*(?:以下|以内|之内|之下)", None, Operator.AT_MOST),
        (rf"(?:不低于|不少于|至少|最少)\s*{_LOW}", Operator.AT_LEAST, None),
        (rf"(?:高于|超过|大于|多于)\s*{_LOW}", Operator.MORE, None),
        (rf"{_LOW}\s*(?:以上|起)", Operator.AT_LEAST, None),
        (rf"{_HIGH}\s*(?:at most|or less|or under|or below|max(?:imum)?|tops)\b", None, Operator.AT_MOST),
        (rf"{_LOW}\s*(?:at least|or more|or above|and up|min(?:imum)?)\b", Operator.AT_LEAST, None),
        (
            rf"(?:\b(?:up to|at most|no more than|not more than|max(?:imum)?(?: of)?|within|budget(?: of| is)?)|<=|≤)"
            rf"\s*{_HIGH}",
            None,
            Operator.AT_MOST,
        ),
        (
            rf"(?:\b(?:under|below|less than|cheaper than|lower than|not over|costing less than)|<)\s*{_HIGH}",
            None,
            Operator.LESS,
        ),
        (
            rf"(?:\b(?:at least|no less than|not less than|not under|min(?:imum)?(?: of)?|starting (?:at|from))|>=|≥)"
            rf"\s*{_LOW}",
            Operator.AT_LEAST,
            None,
        ),
        (rf"(?:\b(?:over|above|more than)|>)\s*{_LOW}", Operator.MORE, None),
    )
)

_RANGE_WITHOUT_MONEY = 1
"""The pattern of a bare range: `20-50` may be anything, so it counts only with a currency."""


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


_ORDERS: tuple[tuple[Order, re.Pattern[str]], ...] = (
    (
        Order.BEST_RATED,
        _any(r"\b(?:best|highest|top)[- ]rated\b", r"\bbest (?:rating|reviews?)\b", "评分最高|评价最好|口碑最好"),
    ),
    (Order.DEAREST, _any(r"\b(?:most expensive|dearest|priciest)\b", "最贵|价格最高")),
    (
        Order.CHEAPEST,
        _any(
            r"\b(?:cheapest|cheap|inexpensive|affordable|lowest[- ]price[ds]?)\b",
            "最便宜|便宜(?!一?[些点])|最低价|价格最低|实惠",
        ),
    ),
)

CHEAPER = _any(
    r"\b(?:cheaper|less expensive) than\b",
    r"\b(?:but|only|something|anything|any) (?:a bit |a little )?cheaper\b",
    r"\bcheaper (?:alternatives?|ones?|options?|versions?)\b",
    "更便宜|便宜一?[些点]|比(.{1,60}?)(?:更|还要?)?便宜(?:一?[些点])?",
)
"""Something that costs less than what is named."""

_CUES: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        Kind.COMPARE,
        _any(
            r"\bcompar(?:e|ed|ing|ison)(?: of| between)?\b",
            r"\bvs\b\.?|\bversus\b|\bdifferences?(?: between)?\b",
            r"\bwhich (?:one )?(?:is|has|costs)(?: the)? (?:cheap\w+|dearer|better|best|less|more)(?: rat\w+)?\b",
            r"\b(?:cheaper|better|dearer)(?=[ ,:;?]+.*\bor\b)",
            "对比|比较|相比|区别|差别|哪一?[个款件]?更?(?:便宜|贵|好)",
        ),
    ),
    (
        Kind.ALTERNATIVES,
        _any(
            r"\balternatives?(?: to| for)?\b|\binstead of\b",
            r"\b(?:something|anything|items?|products?|ones?|things?) (?:like|similar to)\b",
            r"\bsimilar(?: to)?\b|\breplacements?(?: for)?\b|\bsubstitutes?(?: for)?\b|\bresembl\w+\b",
            "类似于?|相似|替代品?|代替|差不多的?|同类|平替|像(?=.+(?:一样|的))|一样的",
        ),
    ),
    (
        Kind.PRICE,
        _any(
            r"\bhow much(?: (?:is|are|does|do|for|was|would))?\b|\bprices?(?: of| for)?\b",
            r"\bcosts?\b|\bhow expensive\b|\bpriced\b",
            "多少钱|价格|价钱|几块钱?|什么价|售价|卖多少|怎么卖",
        ),
    ),
    (
        Kind.STOCK,
        _any(
            r"\b(?:in|on|out of) stock\b|\bavailab(?:le|ility)\b|\bsold out\b",
            "有没有货|有货|现货|库存|还有吗|缺货|断货|买得到",
        ),
    ),
    (
        Kind.DESCRIBE,
        _any(
            r"\btell me(?: more)?(?: about)?\b|\bdescri(?:be|ption)(?: of)?\b",
            r"\bdetails?(?: of| on| about)?\b|\b(?:more )?information(?: on| about)?\b|\bknow about\b",
            "介绍一?下?|说说|详情|怎么样|了解一?下?|详细",
        ),
    ),
    (
        Kind.FIND,
        _any(
            r"\brecommend(?:ations?|ed)?\b|\bsuggest(?:ions?)?\b|\bshow(?: me)?\b|\bfind(?: me)?\b",
            r"\b(?:looking|search\w*) for\b|\b(?:i|we) (?:need|want|would like|like)\b",
            r"\bdo you (?:have|sell|carry|stock)\b",
            r"\bgifts?(?: for)?\b|\bideas?\b|\bneed\b|\bwant\b|\bsell\b",
            "推荐|想要|想买|要买|找|有没有|有什么|需要|看看|来[一个件款]|送给?|礼物|买",
        ),
    ),
)

SERVICE = _any(
    r"\b(?:my |an? |the )?(?:orders?|deliver\w*|shipping|shipments?|returns?|refunds?|payments?|invoices?)\b",
    r"\b(?:complaints?|accounts?|passwords?|track(?:ing)?|warrant\w+|opening hours|customer service)\b",
    r"\b(?:vouchers?|coupons?)\b",
    "退货|退款|换货|发货|快递|物流|发票|客服|投诉|订单|付款|支付|账号|密码|保修|优惠券|营业时间",
)
"""What is asked of a shop and not of its catalogue."""

YES_OR_NO = _any(r"^(?:is|are|does|do|can|has|have|was|will)\b", r"[吗么嘛]\s*\??\s*$", "是不是|能不能|有没有")
WHICH = _any(r"\b(?:what|which|how|who)\b", "什么|多[大重长高宽少]|几|哪|谁")
NOT = re.compile(
    r"(?:\b(?:not|no|without|except|but|excluding|non)|不要|不含|除了|非|无|不是)\s*"
    r"(?:(?:in|by|from|of|the|any|a|made) )*$"
)
"""What ends right before a value that is not wanted."""

FIELDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("brand", re.compile(r"\bbrands?\b|\bwho makes\b|\bmade by\b|\bmanufacturers?\b|\bmakers?\b|品牌|牌子|厂家|哪家")),
    ("category", re.compile(r"\bcategor(?:y|ies)\b|\bkind of\b|类别|分类|种类")),
    ("rating", re.compile(r"\brat(?:ed|ings?)\b|\breviews?\b|\bstars?\b|评分|评价|几星")),
)
"""What fields of every item are called."""

ASKED_FOR: tuple[tuple[str, ...], ...] = (
    ("colour", "color", "颜色", "色彩"),
    ("size", "尺寸", "尺码", "大小", "多大", "how big", "how large"),
    ("material", "fabric", "材质", "材料", "面料", "made of"),
    ("weight", "重量", "多重", "how heavy"),
    ("length", "长度", "多长", "how long"),
    ("width", "宽度", "多宽", "how wide"),
    ("height", "高度", "多高", "how tall", "how high"),
    ("capacity", "volume", "容量"),
    ("flavour", "flavor", "口味", "味道"),
    ("quantity", "数量", "库存量"),
    ("gender", "性别"),
)
"""What attributes are called that people ask for, whether a catalogue has them or not."""

ALIKE: tuple[tuple[str, ...], ...] = (
    ("red", "红色", "红"), ("blue", "蓝色", "蓝"), ("green", "绿色", "绿"), ("black", "黑色", "黑"),
    ("white", "白色", "白"), ("yellow", "黄色", "黄"), ("grey", "gray", "灰色", "灰"), ("pink", "粉色", "粉红色", "粉"),
    ("purple", "violet", "紫色", "紫"), ("brown", "棕色", "褐色", "棕"), ("orange", "橙色", "橘色"),
    ("silver", "银色"), ("gold", "golden", "金色"), ("beige", "米色"),
    ("cotton", "棉", "纯棉"), ("wood", "wooden", "木", "木质", "木制"), ("leather", "皮", "皮革"),
    ("steel", "钢"), ("stainless steel", "不锈钢"), ("glass", "玻璃"), ("plastic", "塑料"), ("wool", "羊毛"),
    ("ceramic", "陶瓷"), ("silk", "丝绸"), ("linen", "亚麻"), ("waterproof", "防水"),
)  # fmt: skip
"""Values that say the same. They count where the catalogue has one of them."""

AND = re.compile(r"\b(?:and|or|with|to|against|than)\b|[,;/]|和|与|跟|还是|或者?|比|、")
"""What stands between two things that are compared."""


class Prices(NamedTuple):
    """What prices may be. `currencies` are those that the question may mean; none where it says none."""

    condition: Condition | None
    currencies: frozenset[str]


def prices(text: str) -> tuple[Prices, str]:
    """The limits that a text sets for prices, and the text without them."""
    parts: list[Condition] = []
    currencies: frozenset[str] = frozenset()
    for number, (pattern, low, high) in enumerate(_LIMITS):
        while match := pattern.search(text):
            named = match.groupdict()
            said = frozenset().union(*(_currency(named[key]) for key in named if key[:5] in ("befor", "after")))
            if number == _RANGE_WITHOUT_MONEY and not said:
                break
            currencies |= said
            for operator, bound in ((low, "low"), (high, "high")):
                if operator is not None:
                    parts.append(Comparison(Field("price"), operator, _number(named[bound])))
            text = text[: match.start()] + GAP + text[match.end() :]
    condition = parts[0] if len(parts) == 1 else All(tuple(parts)) if parts else None
    return Prices(condition, currencies), text


def order(text: str) -> tuple[Order | None, str]:
    """How a text wants things ordered, and the text without that."""
    for found, pattern in _ORDERS:
        if pattern.search(text):
            return found, pattern.sub(GAP, text)
    return None, text


def cheaper(text: str) -> tuple[bool, str]:
    """Whether a text wants something that costs less than what it names, and the text without that."""
    return CHEAPER.search(text) is not None, CHEAPER.sub(lambda found: GAP + (found[1] or "") + GAP, text)


def kinds(text: str) -> tuple[frozenset[Kind], str]:
    """The kinds of question that a text has turns of phrase of, and the text without them."""
    found = set()
    for kind, pattern in _CUES:
        if pattern.search(text):
            found.add(kind)
            text = pattern.sub(GAP, text)
    return frozenset(found), text


def alike(key: str, groups: Sequence[Sequence[str]] = ALIKE) -> Sequence[str]:
    """What says the same as a phrase (see `words.phrase`), itself included."""
    return next((group for group in groups if key in map(phrase, group)), (key,))


def _number(text: str) -> float:
    """`1,000.50`, `1.000,50` and `24,90` as numbers: what stands last and not before three digits is the point."""
    place = max(text.rfind("."), text.rfind(","))
    if place < 0:
        return float(text)
    grouped = len(text) - place - 1 == 3 and (text[place] == "," or text.count(".") > 1)
    whole, part = (text, "") if grouped else (text[:place], text[place + 1 :])
    return float(re.sub(r"[.,]", "", whole) + "." + (part or "0"))


def _currency(text: str | None) -> frozenset[str]:
    if text:
        for pattern, currencies in _CURRENCIES.items():
            if re.fullmatch(pattern, text):
                return currencies
    return frozenset()
