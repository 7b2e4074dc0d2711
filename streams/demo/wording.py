"""The data set's till-receipt English in words that people and a sentence encoder read."""

import re

_SPELLED = {
    "BEERALEMALT": "beer, ale and malt", "BG": "bag", "BKD": "baked", "BR": "bread", "BRD": "bread",
    "BRKFST": "breakfast", "BTL": "bottle", "BTR": "butter", "CKYS": "cookies", "CLEANG": "cleaning",
    "CNDY": "candy", "CNTRL": "central", "CRKR": "crackers", "CRYSTL": "crystal", "CT": "ct", "DNRS": "dinners",
    "DOZ": "dozen", "DRNK": "drinks", "DRNKS": "drinks", "DRSNG": "dressing", "DSH": "dish", "DZ": "dozen",
    "FD": "food", "FLVRD": "flavoured", "FRZ": "frozen", "FRZN": "frozen", "GA": "gal", "GM": "general merchandise",
    "MISC": "miscellaneous", "MX": "mix", "MXS": "mixes", "PCKGD": "packaged", "PKLD": "pickled", "PNT": "peanut",
    "PREM": "premium", "PWDR": "powder", "REFRGRATD": "refrigerated", "SALD": "salad", "SFT": "soft",
    "SNDWCH": "sandwich", "SNKS": "snacks", "SPLY": "supplies", "SPRD": "spread", "SUP": "supplies",
    "TRSH": "trash", "VEG": "vegetables", "WTR": "water",
}  # fmt: skip

_ATTRIBUTES = {
    "ANGUS", "BLENDS", "DRY", "ECONOMY", "ENHANCED", "FLAVORED/OTHER", "FRESH", "INTERNAL", "KITS", "LEAN",
    "MAINSTREAM", "MICROWAVE", "MISCELLANEOUS", "OTHER", "POULTRY", "PRE-COOKED", "PREMIUM", "PRIMAL", "RED",
    "REGULAR", "SMOKED/COOKED", "TRADITIONAL", "VALUE",
}  # fmt: skip

_WORD = re.compile(r"[A-Z]+")
_SPACES = re.compile(r"\s+")


def readable(text: str) -> str:
    """`FRZN NOVELTIES/WTR ICE` as `Frozen novelties/water ice`."""
    spelled = _WORD.sub(lambda word: _SPELLED.get(word[0], word[0].lower()), text.upper())
    tidy = _SPACES.sub(" ", spelled).strip()
    return tidy[:1].upper() + tidy[1:]


def title(product_type: str, package_size: str | None, category: str | None = None) -> str:
    """`FLUID MILK WHITE ONLY` and `1 GA` as `Fluid milk white only, 1 gal`.

    A type that is a mere attribute is put behind its category: `PREMIUM` pasta sauce as `Pasta sauce, premium`.
    """
    name = readable(product_type)
    if category and product_type.strip().upper() in _ATTRIBUTES:
        name = f"{readable(category)}, {name.lower()}"
    size = readable(package_size or "").lower()
    return f"{name}, {size}" if size else name
