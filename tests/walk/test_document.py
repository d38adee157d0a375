"""The walk's document: what can be told of it without walking (`make walk`)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from local_cluster.nginx import find_nginx
from tests.store.password_server import free_port
from tests.walk.document import CHECKOUT, PORTS, steps, with_ports
from tests.walk.shell import shell


def test_its_commands_are_a_program() -> None:
    text = "\n".join(steps().values())
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert {str(port) for port in PORTS if str(port) not in text} == set()


async def test_nginx_takes_its_configuration_with_tls(tmp_path: Path) -> None:
    nginx = find_nginx()
    if nginx is None:
        pytest.skip("no nginx is installed: apt-get install nginx")
    ports = {port: free_port() for port in PORTS}
    shutil.copytree(CHECKOUT / "deploy" / "nginx", tmp_path / "deploy" / "nginx")
    for file in (tmp_path / "deploy" / "nginx").iterdir():
        file.write_text(with_ports(file.read_text(), ports))
    environment = {"PATH": f"{os.environ['PATH']}:{Path(nginx).parent}", "CHECKOUT": str(tmp_path)}
    commands, _, _ = steps()["nginx and TLS"].partition(" -t\n")
    async with shell(tmp_path, environment) as operator:
        said = await operator.run(with_ports(f"{commands} -t", ports))
    assert "test is successful" in said
    text = (tmp_path / "neuron-meet.conf").read_text()
    assert f"listen 127.0.0.1:{ports[8443]} ssl;" in text
    assert "8080" not in text
    assert "#tls" not in text.partition("server {\n")[2]
