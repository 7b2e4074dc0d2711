"""What `yamltext` writes, an ordinary YAML parser reads back as it was."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from streams import yamltext

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    # PyYAML reads YAML 1.1, where `1e+16` without a point is text: JSON's floats are compared where both agree.
    | st.floats(-1e15, 1e15).filter(lambda number: "e" not in repr(number))
    | st.text()
    | st.sampled_from(
        ["null", "Yes", "off", "- a", "a: b", "a #b", "1.0", "2026-01-05", "~", "$ref", "a, b", "'", "\u2028"]
    )
)
keys = st.text() | st.sampled_from(["true", "no", "$ref", "/a/b", "cleanup.policy", "?", "<<x"])
data = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=20)


@given(data)
def test_round_trip(value: yamltext.Data) -> None:
    assert yaml.safe_load(yamltext.dump(value)) == value


@given(st.dictionaries(keys, scalars, min_size=2))
def test_keys_keep_their_order(mapping: dict[str, yamltext.Data]) -> None:
    assert list(yaml.safe_load(yamltext.dump(mapping))) == list(mapping)
