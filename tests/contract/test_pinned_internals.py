"""The engine stands on parts of faust-streaming, mode, aiokafka and rocksdict that nobody promised to keep.

A test here fails when one of them changes. Read the difference between the two versions of the named source, decide
whether the engine still does the right thing (the docstrings of streams/engine say what it relies on), run the fault
tests, and only then write the new digest or version down.
"""

import hashlib
import importlib
import inspect
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import rocksdict

VERSIONS = {
    "faust-streaming": "0.15.3",
    "mode-streaming": "0.7.1",
    "aiokafka": "0.14.0",
    "rocksdict": "0.3.29",
}

SOURCES = {
    "Overridden: compare with streams/engine/consumer.py": {
        "faust.transport.consumer:Consumer._drain_messages": "44a2500309e8",
        "faust.transport.consumer:Consumer.perform_seek": "0e8c130ff4b0",
        "faust.transport.consumer:ThreadDelegateConsumer.seek_wait": "e9db5bbc4ceb",
        "faust.transport.consumer:Consumer.on_partitions_revoked": "d04b7ae72c6f",
        "faust.transport.consumer:Consumer.on_partitions_assigned": "29ce96596f05",
        "faust.transport.consumer:Consumer._new_offset": "1d2c7ea89a7a",
        "faust.transport.consumer:Consumer.on_buffer_full": "c8961679e0bc",
        "faust.transport.consumer:Consumer.on_buffer_drop": "4b57e8a418d5",
        "faust.transport.consumer:ThreadDelegateConsumer._commit": "a20eec84e4b2",
        "faust.transport.consumer:ThreadDelegateConsumer.subscribe": "74b297c2183d",
        "faust.transport.consumer:ThreadDelegateConsumer.close": "3c663d872337",
        "faust.transport.drivers.aiokafka:Consumer._new_consumer_thread": "0870ec53dea7",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._create_worker_consumer": "c2701bfc3e6f",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.getmany": "26fc5fc9f3b6",
    },
    "Called or relied on by streams/engine/consumer.py": {
        "faust.transport.consumer:Consumer.stop_flow": "cf7e875a2b0d",
        "faust.transport.consumer:Consumer.resume_flow": "db59630f25b5",
        "faust.transport.consumer:Consumer.ack": "5fcf41cf4515",
        "faust.transport.consumer:Consumer._commit_tps": "a20e230b05ae",
        "faust.transport.consumer:Consumer._commit_offsets": "1a6979904118",
        "faust.transport.consumer:Consumer._should_commit": "5ce941793947",
        "faust.transport.consumer:Consumer._filter_tps_with_pending_acks": "f6f923977423",
        "faust.transport.consumer:Consumer._get_active_partitions": "b24897f3c7af",
        "faust.transport.consumer:ThreadDelegateConsumer._getmany": "f9d47aa9010b",
        "faust.transport.drivers.aiokafka:Consumer._to_message": "7c24f6511b2f",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._fetch_records": "39a2c6c79fc1",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._seek_wait": "9d221e816d94",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._commit": "932852ce7a23",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.on_thread_stop": "8dfc004e258b",
        "faust.app.base:App._on_rebalance_when_stopped": "1b172d9af8ff",
        "faust.transport.conductor:Conductor._subscriber": "2a7908583404",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.seek_to_committed": "775ab0adc4b0",
        "faust.app.base:App._on_partitions_revoked": "d5c895bbe57d",
        "faust.app.base:App._on_partitions_assigned": "de932b7927db",
        "mode.utils.queues:FlowControlEvent.resume": "4dcdc1253fd0",
        "mode.utils.queues:FlowControlEvent.acquire": "ed0208e866e6",
        "mode.threads:ServiceThread.__init__": "82979878990c",
        "mode.threads:ServiceThread._start_thread": "a06373478446",
        "mode.threads:ServiceThread._gather_remaining_tasks": "6f65b92dd101",
        "aiokafka.consumer.consumer:AIOKafkaConsumer.start": "2f1ba7044332",
        "aiokafka.consumer.consumer:AIOKafkaConsumer.seek_to_committed": "f6cd85c8b70a",
        "aiokafka.consumer.group_coordinator:GroupCoordinator.reset_generation": "537aa37c531b",
        "aiokafka.consumer.group_coordinator:GroupCoordinator._do_commit_offsets": "c3a3ea5613f3",
        "aiokafka.consumer.fetcher:Fetcher.fetched_records": "be4348896b9b",
        "aiokafka.consumer.fetcher:Fetcher.seek_to": "f0ba6aba6c22",
        "aiokafka.consumer.fetcher:FetchResult.getall": "3e717e30de50",
    },
    "The recovery that streams/engine/recovery.py feeds: when it seeks, resumes, waits and ends": {
        "faust.tables.recovery:Recovery.on_rebalance": "aa4d997a1795",
        "faust.tables.recovery:Recovery._restart_recovery": "6bd8a8558a2d",
        "faust.tables.recovery:Recovery._resume_streams": "d986a6710c1a",
        "faust.tables.recovery:Recovery.on_recovery_completed": "6ef567acf072",
        "faust.tables.recovery:Recovery._build_highwaters": "91b4cc0d3724",
        "faust.tables.recovery:Recovery._build_offsets": "27eec86be06c",
        "faust.tables.recovery:Recovery._seek_offsets": "19598ca63d94",
        "faust.tables.recovery:Recovery._slurp_changelogs": "7825c7e50f76",
        "faust.tables.recovery:Recovery.need_recovery": "fd1dc345b5d5",
        "faust.tables.recovery:Recovery.active_remaining": "0dcc38568ad5",
        "faust.tables.recovery:Recovery.flush_buffers": "6fa9c17f1071",
        "faust.tables.recovery:Recovery._wait": "ec7429b70176",
    },
    "What streams/engine/table.py overrides or is called by": {
        "faust.tables.base:Collection.on_start": "daddcc354ad0",
        "faust.tables.base:Collection.on_rebalance": "0812ad692171",
        "faust.tables.base:Collection.persisted_offset": "d473d3ab3fd6",
        "faust.tables.base:Collection._new_store": "914a2bda605d",
        "faust.tables.manager:TableManager.on_rebalance": "2d2c23a07bf5",
        "faust.tables.manager:TableManager.on_stop": "351be149c036",
        "faust.tables.manager:TableManager.add": "4c5232ce6ba1",
        "faust.stores.base:Store.__init__": "d1705e3cfe39",
    },
    "The life of an app and its agent, for streams/engine/app.py": {
        "faust.app.base:App.on_stop": "bfe5a933defb",
        "faust.app.base:App._stop_consumer": "55854a5de12c",
        "faust.app.base:App._new_transport": "42db531312dd",
        "faust.agents.agent:Agent._execute_actor": "c750b828d2bd",
        "faust.streams:Stream.noack": "921a6f5c674d",
        "mode.supervisors:CrashingSupervisor.wakeup": "4200e8caee84",
        "mode.services:Service.stop": "e17cd2b6bd01",
        "mode.services:Service.wait_first": "feade6a31f8a",
        "faust.serializers.schemas:Schema.compile": "d46eec5ce319",
    },
    "Record batches and their offsets, for streams/engine/publisher.py": {
        "aiokafka.producer.producer:AIOKafkaProducer.create_batch": "c4efda4bb7a0",
        "aiokafka.producer.producer:AIOKafkaProducer.send_batch": "bf42b0f0c5c0",
        "aiokafka.producer.message_accumulator:BatchBuilder.append": "657d76f55157",
        "aiokafka.producer.message_accumulator:MessageBatch.done": "2d765e5c2dc8",
        "aiokafka.partitioner:DefaultPartitioner.__call__": "4911320054e7",
    },
    "Called by streams/status/sizes.py": {
        "aiokafka.admin.client:AIOKafkaAdminClient._send_request": "1ed126f126dd",
    },
}


@pytest.mark.parametrize(("package", "pinned"), VERSIONS.items())
def test_version(package: str, pinned: str) -> None:
    assert version(package) == pinned, f"{package} moved: go through this file and streams/engine, see its docstring"


@pytest.mark.parametrize(
    ("why", "name", "pinned"), [(why, name, digest) for why, part in SOURCES.items() for name, digest in part.items()]
)
def test_source(why: str, name: str, pinned: str) -> None:
    found = hashlib.sha256(inspect.getsource(_find(name)).encode()).hexdigest()[:12]
    assert found == pinned, f"{name} is not what the engine was written for. {why}."


def test_rocksdict_reads_many_keys_and_writes_without_a_log(tmp_path: Path) -> None:
    database = rocksdict.Rdict(str(tmp_path / "db"), options=rocksdict.Options(raw_mode=True))
    without_log = rocksdict.WriteOptions()
    without_log.disable_wal = True
    batch = rocksdict.WriteBatch(raw_mode=True)
    batch.put(b"", b"empty keys are keys")
    batch.put(b"a", b"1")
    database.write(batch, without_log)
    assert database.get([b"a", b"absent", b""]) == [b"1", None, b"empty keys are keys"]
    with pytest.raises(Exception, match="lock"):
        rocksdict.Rdict(str(tmp_path / "db"), options=rocksdict.Options(raw_mode=True))
    database.close()


def _find(name: str) -> Any:
    module, path = name.split(":")
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return getattr(found, "fun", found)  # mode wraps a service's tasks
