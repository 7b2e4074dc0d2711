"""A copy of the profiles that cannot be opened leaves nothing open."""

import gc
from pathlib import Path

import pytest

from streams.errors import UpwellError
from streams.profile_replica import ProfileReplication
from streams.settings import KafkaSettings
from streams.topics import topics


async def test_where_the_copy_cannot_be_opened_no_client_is_left(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "profiles").write_text("a file")
    with pytest.raises((UpwellError, OSError)):
        ProfileReplication(tmp_path / "profiles", 8, topics().profiles, "127.0.0.1:1", KafkaSettings(), 20)
    gc.collect()
    assert "Unclosed" not in caplog.text + capfd.readouterr().err
