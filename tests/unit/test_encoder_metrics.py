"""What an encoder shows of itself: counts, and what it runs on at this moment."""

from prometheus_client import generate_latest

from encoders.hashing import HashingEncoder
from streams.health import Health
from streams.items import ItemEncoder
from streams.records import CatalogueItem
from streams.web.probes import registry_of


async def test_metrics_show_what_was_encoded_and_where() -> None:
    model = HashingEncoder(16)
    encoder, health = ItemEncoder(model), Health()
    health.encoders["encoder"] = encoder
    await encoder.encode([CatalogueItem("1", "Oat milk"), CatalogueItem("2", "Oat milk"), CatalogueItem("3", "Tea")])
    shown = generate_latest(registry_of(health)).decode()
    for name, value in (("texts_total", 3), ("cache_hits_total", 1), ("windows_total", 1), ("last_window", 3)):
        assert f'upwell_encoder_{name}{{role="encoder"}} {value}.0' in shown
    assert f'upwell_encoder_info{{model="{model.id}",provider="numpy",role="encoder"}} 1.0' in shown
    model.provider = "CPUExecutionProvider"
    assert 'provider="CPUExecutionProvider"' in generate_latest(registry_of(health)).decode()
