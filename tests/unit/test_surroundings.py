"""What whoever starts the tests has set changes none of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEEN = """
import json, os
import tests.conftest
from streams.settings import load, load_api
shop, kafka = load()
seen = shop.shop, load_api().port, kafka.security_protocol, str(shop.cache_dir), "FORCE_COLOR" in os.environ
print(json.dumps(seen))
"""
NONSENSE = {
    "UPWELL_SHOP": "no shop!",
    "UPWELL_API_PORT": "9999",
    "UPWELL_CACHE_DIR": "/nowhere",
    "KAFKA_SECURITY_PROTOCOL": "SSL",
    "FORCE_COLOR": "1",
}


@pytest.mark.parametrize(("cluster", "protocol"), [({}, "PLAINTEXT"), ({"KAFKA_BOOTSTRAP_SERVERS": "a:1"}, "SSL")])
def test_settings_of_the_callers_shop_are_not_the_tests(cluster: dict[str, str], protocol: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
    command = [sys.executable, "-c", SEEN]
    done = subprocess.run(
        command, cwd=ROOT, env={**environment, **NONSENSE, **cluster}, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == f'["shop", 8080, "{protocol}", "/nowhere", false]', done.stderr
