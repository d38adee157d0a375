"""What deploy/ ships, by the checkers that run here, and against the settings and routes that there are."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from neuron_meet.settings import Settings
from tests.ops.programs import program, run

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
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


async def test_caddy(tmp_path: Path) -> None:
    text = (DEPLOY / "caddy" / "Caddyfile").read_text()
    assert text.count("{") == text.count("}")
    caddy = shutil.which("caddy")
    if caddy is not None:  # not on every machine; Debian has it, .ci/run does not install it
        code, said = await run(
            caddy, "validate", "--adapter", "caddyfile", "--config", DEPLOY / "caddy" / "Caddyfile"
        )
        assert code == 0, said
