"""What deploy/ ships, by the checkers that run here, and against the settings and routes that there are."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import yaml

from neuron_meet.settings import Settings
from tests.ops.programs import program, run

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "deploy"
SECRET = "a-secret-of-thirty-two-bytes-or-more"


def usable(environment: dict[str, str]) -> Settings:
    """The settings of an image with these variables; the secret ones are filled in. Raises for one that is none."""
    unknown = {name for name in environment if name.lower() not in Settings.model_fields}
    assert unknown == set()
    given = {name.lower(): value for name, value in environment.items()}
    return Settings(
        _env_file=None, **{"node_env": "production", "jwt_secret": SECRET, "admin_token": SECRET} | given
    )  # type: ignore[call-arg]


async def test_the_systemd_unit(tmp_path: Path) -> None:
    checker = program("systemd-analyze", "systemd")
    text = (DEPLOY / "systemd" / "neuron-meet.service").read_text()
    unit = tmp_path / "neuron-meet.service"
    unit.write_text(text.replace("/opt/neuron-meet/bin/neuron-meet", sys.executable))
    code, said = await run(checker, "verify", unit)
    assert (code, [line for line in said.splitlines() if "neuron-meet.service" in line]) == (0, []), said
    code, said = await run(checker, "security", "--offline=true", unit)
    exposure = re.search(r"exposure level for neuron-meet\.service: ([\d.]+)", said)
    assert exposure is not None, said
    assert float(exposure[1]) < 2.0
    stop = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > Settings.model_fields["drain_seconds"].default + 30


async def test_the_nginx_of_the_composition(tmp_path: Path) -> None:
    nginx = program("nginx", "nginx-light")
    openssl = program("openssl", "openssl")
    made = await run(
        openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
        "-subj", "/CN=meet.example.com", "-keyout", tmp_path / "privkey.pem", "-out", tmp_path / "fullchain.pem",
    )  # fmt: skip
    assert made[0] == 0, made[1]
    text = (DEPLOY / "compose.nginx.conf").read_text()
    text = re.sub(r"server-[ab]:", "127.0.0.1:", text).replace("/etc/nginx/tls", str(tmp_path))
    text = re.sub(r"listen (80|443)", r"listen 127.0.0.1:18\1", text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in kinds)
    around = (
        f"pid {tmp_path}/pid; error_log stderr; events {{}}\nhttp {{ access_log off;\n{folders}{text}}}\n"
    )
    (tmp_path / "nginx.conf").write_text(around)
    code, said = await run(nginx, "-t", "-c", tmp_path / "nginx.conf")
    assert code == 0, said


def test_the_composition() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services: dict[str, Any] = compose["services"]
    example = dict(
        line.split("=", 1)
        for line in (DEPLOY / "compose.env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    wanted = set(re.findall(r"\$\{(\w+):\?\}", (DEPLOY / "compose.yaml").read_text()))
    assert wanted == example.keys()
    for name in ("server-a", "server-b"):
        server = services[name]
        assert server["read_only"] is True
        environment = {
            key: re.sub(r"\$\{(\w+):\?\}", lambda m: example[m[1]] or SECRET, value)
            for key, value in server["environment"].items()
        }
        settings = usable(environment)
        assert int(server["stop_grace_period"].removesuffix("s")) > settings.drain_seconds + 30
        assert f"{name}:3001" in (DEPLOY / "compose.nginx.conf").read_text()
    for file in [volume.split(":")[0] for volume in services["nginx"]["volumes"] if volume.startswith("./")]:
        assert (DEPLOY / file).is_file()


SPECIAL_PURPOSE = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24
192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4
255.255.255.255/32 224.0.0.0/4
::1/128 ::ffff:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001::/32 2001:1::1/128 2001:2::/48
2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28 2001:30::/28 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20
5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8
"""
"""IANA's special-purpose registries of IPv4 and IPv6, multicast, and the deprecated site-local addresses. `::` itself
coturn refuses by its own."""


async def test_what_a_relay_must_not_reach() -> None:
    """`tests/turn` asks a real coturn; here the list is whole, and the only one."""
    code, said = await run("sh", DEPLOY / "coturn" / "conf.sh", "203.0.113.7")
    assert code == 0, said
    lines = said.splitlines()
    assert {"no-tcp-relay", "no-multicast-peers", "relay-ip=203.0.113.7", "allowed-peer-ip=203.0.113.7"} <= {
        *lines
    }
    ranges = [
        tuple(map(ip_address, line.partition("=")[2].split("-")))
        for line in lines
        if "denied" in line and "-ip" in line
    ]
    for network in map(ip_network, SPECIAL_PURPOSE.split()):
        first, last = network[0], network[-1]
        assert any(
            len(each) == 2 and each[0].version == first.version and each[0] <= first and last <= each[1]  # type: ignore[operator]
            for each in ranges
        ), network
    shown = [PROJECT / "README.md", *(PROJECT / "docs").rglob("*.md"), *DEPLOY.rglob("*")]
    with_a_list = [file for file in shown if file.is_file() and "denied-peer-ip" in file.read_text()]
    assert with_a_list == [DEPLOY / "coturn" / "conf.sh"]
    operations, protocol = (
        (PROJECT / "docs" / name).read_text() for name in ("operations.md", "protocol.md")
    )
    assert operations.count("deploy/coturn/conf.sh") >= 2, "the chapter and the walk"
    assert "deploy/coturn/conf.sh" in protocol


async def test_the_relay_of_the_composition(tmp_path: Path) -> None:
    coturn = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["coturn"]
    (mounted,) = coturn["volumes"]
    here, there, _ = mounted.split(":")
    shell, flag, script, name = coturn["entrypoint"]
    script = script.replace("$$", "$").replace(there, str(DEPLOY / here)).replace("exec turnserver", "echo")
    made = tmp_path / "turnserver.conf"
    script = script.replace("/tmp/turnserver.conf", str(made))
    environment = {"PATH": os.environ["PATH"], "TURN_RELAY_IP": "203.0.113.7"}
    process = await asyncio.create_subprocess_exec(
        shell, flag, script, name, *coturn["command"], env=environment, stdout=asyncio.subprocess.PIPE
    )
    said = (await process.communicate())[0].decode().splitlines()
    assert process.returncode == 0
    code, printed = await run("sh", DEPLOY / "coturn" / "conf.sh", "203.0.113.7")
    assert code == 0
    assert made.read_text() == printed
    assert said[0].startswith(f"-c {made} --log-file=stdout --use-auth-secret --static-auth-secret=")


def test_the_kubernetes_manifests() -> None:
    objects = {
        (each["kind"], each["metadata"]["name"]): each
        for each in yaml.safe_load_all((DEPLOY / "kubernetes" / "neuron-meet.yaml").read_text())
    }
    deployment = objects["Deployment", "neuron-meet"]["spec"]
    pod = deployment["template"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    (server,) = pod["containers"]
    settings = usable({each["name"]: each["value"] for each in server["env"]})
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    assert ports == {"http": settings.port, "admin": settings.admin_port}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = server[probe]["httpGet"]
        assert asked["port"] in ports
        assert asked["path"] in ("/api/health", "/api/ready")
    liveness = server["livenessProbe"]
    patience = liveness["periodSeconds"] * liveness["failureThreshold"]
    assert patience > settings.drain_seconds, "a server that drains must not be taken for dead"
    assert pod["terminationGracePeriodSeconds"] > settings.drain_seconds + 30 + 5
    assert server["securityContext"]["readOnlyRootFilesystem"] is True
    assert deployment["selector"]["matchLabels"] == labels
    budget = objects["PodDisruptionBudget", "neuron-meet"]["spec"]
    assert budget["selector"]["matchLabels"] == labels
    assert 0 < budget["minAvailable"] < deployment["replicas"]
    for name in ("neuron-meet", "neuron-meet-admin"):
        service = objects["Service", name]["spec"]
        assert service["selector"] == labels
        assert {port["targetPort"] for port in service["ports"]} <= ports.keys()


def test_the_image() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    final = text.rpartition("FROM ")[2]
    environment = dict(
        re.findall(r"\b([A-Z_]+)=(\S+)", re.search(r"^ENV (.*?[^\\])$", final, re.DOTALL | re.MULTILINE)[1])
    )  # type: ignore[index]
    usable({name: value for name, value in environment.items() if name != "PATH" and "PYTHON" not in name})
    assert re.search(r"^USER 10001$", final, re.MULTILINE)
    assert "/api/health" in final
    assert not re.search(r"pip install|npm|curl|wget", final), "nothing is downloaded outside the build stage"
