"""Programs that stand in for others while the documentation's blocks are run.

They change what no reader would change: where the broker listens, how much is tried, what would have to be downloaded.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from streams.broker import java, maven
from tests.brokers import engine_answers
from tests.documents import ROOT

_UPWELL = """\
#!/bin/sh
upwell() {{ "{python}" -P -c 'from streams.cli import main; main()' "$@"; }}
case "$1 $2" in
"broker start") set -- "$@" --port "$BROKER_PORT" ;;
"model build")
    # What one page has built is there for all of them: the cache is one, as it is for a reader.
    if test "$#" -le 3; then
        built="$UPWELL_CACHE_DIR/models/.built-$3"
        test -e "$built" || {{ upwell "$@" && touch "$built"; }}
        exit
    fi ;;
esac
exec "{python}" -P -c 'from streams.cli import main; main()' "$@"
"""

_CURL = """\
#!/bin/bash
# What was started on the line before may not listen yet, and another's port may be taken on this machine.
exec "{curl}" --silent --show-error --fail-with-body --retry 60 --retry-delay 1 --retry-connrefused \\
    "${{@//:8080/:$UPWELL_API_PORT}}"
"""

_NAMED = """\
#!/bin/sh
# Where nobody names a broker it is the one on this machine, at 127.0.0.1:9092 if that port is free.
export KAFKA_BOOTSTRAP_SERVERS="${{KAFKA_BOOTSTRAP_SERVERS:-127.0.0.1:$BROKER_PORT}}"
exec "{program}" "$@"
"""

_KAFKA_TOOL = """\
#!/bin/bash
# As in Kafka's own bin/, from the jars that the tests' broker runs from.
set -- "${{@//127.0.0.1:9092/${{KAFKA_BOOTSTRAP_SERVERS:-127.0.0.1:$BROKER_PORT}}}}"
exec "{java}" -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "{jars}" {main} "$@"
"""

_PIP = """\
#!/bin/sh
# Into an environment that is nobody's.
test -d .pip || "{python}" -m venv .pip
exec .pip/bin/pip "$@"
"""

_MAKE = """\
#!/bin/sh
# The environment is the one that runs this; a moment of shopping, one file of tests.
case "$1" in
demo) set -- demo ARGS="--for 2 --json" ;;
test) set -- test ARGS="-p no:cacheprovider tests/unit/test_topics.py" ;;
esac
exec "{make}" --no-print-directory -C "{root}" VENV="{venv}" --old-file="{venv}/.ready-cpu" "$@"
"""

_DOCKER = """\
#!/bin/bash
# No engine answers here. Compose itself reads the file and the options; what would run in a container reads its own.
set -e
test "$1" = compose
shift
arguments=("$@")
while [[ $1 == -* ]]; do shift 2; done
if test "$1" = exec; then
    "{compose}" config --services | grep --quiet --line-regexp -- "$2"
    exec "${{@:3}}" --help
fi
"{compose}" --profile '*' config --quiet
"{compose}" "${{arguments[@]}}" --help > /dev/null
"""

_KUBECTL = """\
#!/bin/sh
# Where there is no kubectl, the tool that it has inside.
test "$1" = kustomize && exec kustomize build "$2"
"""

CONSOLE_TOOLS = {
    "kafka-console-producer.sh": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
}
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"


def missing(line: str) -> bool:
    """Whether this machine lacks a program that a line needs, beside those that every test needs."""
    if "npm " in line or "node " in line:
        return shutil.which("npm") is None
    if "kafka-console-" in line:
        return java.find() is None or maven.find_maven() is None
    if line.startswith("java "):
        found = java.find()
        return found is None or not found.with_name("javac").exists() or maven.find_maven() is None
    return False


def install(folder: Path, cache_dir: Path, lines: list[str]) -> None:
    """Write the programs that stand in, those that need something fetched only if a line calls them."""
    folder.mkdir()
    bins = Path(sys.prefix, "bin")
    write(folder / "upwell", _UPWELL.format(python=sys.executable))
    write(folder / "curl", _CURL.format(curl=shutil.which("curl")))
    write(folder / "make", _MAKE.format(make=shutil.which("make"), root=ROOT, venv=sys.prefix))
    write(folder / "pip", _PIP.format(python=sys.executable))
    for name in ("python", "python3"):
        write(folder / name, _NAMED.format(program=sys.executable))
    for name in ("node", "java"):
        write(folder / name, _NAMED.format(program=shutil.which(name)))
    if shutil.which("kubectl") is None:
        write(folder / "kubectl", _KUBECTL)
        kustomize = shutil.which("kustomize") or bins / "kustomize"
        (folder / "kustomize").symlink_to(kustomize)
    if not engine_answers():
        write(folder / "docker", _DOCKER.format(compose=bins / "docker-compose"))
    if any(tool in line for tool in CONSOLE_TOOLS for line in lines):
        jars = _console_tools(cache_dir)
        for tool, main in CONSOLE_TOOLS.items():
            write(folder / tool, _KAFKA_TOOL.format(java=java.find(), jars=jars, main=main))


def write(path: Path, text: str) -> None:
    """A program, not a function of the shell: what is started in the background is it, not a shell around it."""
    path.write_text(text)
    path.chmod(0o700)


def offline_pip() -> dict[str, str]:
    """pip finds what the tests' environment has, builds with its build backend, and downloads nothing."""
    (site,) = {path for path in sys.path if path.startswith(sys.prefix) and path.endswith("site-packages")}
    return {
        "PYTHONPATH": site,
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads the negation: there is none
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def _console_tools(cache_dir: Path) -> str:
    """The class path of Kafka's console tools: the broker's jars, and the one that a broker does without."""
    version = maven.kafka_version()
    folder = cache_dir / "kafka-tools" / version
    if not list(folder.glob("*.jar")):
        artifact = f"-Dartifact=org.apache.kafka:kafka-tools:{version}"
        command = [str(maven.find_maven()), "-B", "-q", _COPY, artifact, f"-DoutputDirectory={folder}"]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    return os.pathsep.join((f"{maven.jars(cache_dir, print)}/*", f"{folder}/*"))
