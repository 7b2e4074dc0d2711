"""The rules language: what may be recommended, what is preferred, how much of one kind. Grammar: `syntax`.

text ──► tokens ──► parser ──► rules (data) ──► verdict: kept or dropped, and a factor, for candidates in arrays
                                  └──► text (`written`)
"""

from streams.core.rules.parser import parse, parse_all, parse_boost, parse_filter
from streams.core.rules.syntax import Rule
from streams.core.rules.text import written
from streams.core.rules.tokens import RuleError

__all__ = ["Rule", "RuleError", "parse", "parse_all", "parse_boost", "parse_filter", "written"]
