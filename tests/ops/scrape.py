"""A scrape of a server's metrics, as Prometheus' own parser reads it."""

from __future__ import annotations

from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """Samples by name and labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """The sample `neuron_meet_<name>`; 0 where there is none (yet)."""
        return self.samples.get((f"neuron_meet_{name}", frozenset(labels.items())), 0.0)

    @property
    def names(self) -> set[str]:
        """All names of samples."""
        return {name for name, _ in self.samples}


async def scrape(admin_url: str | None, token: str | None = None) -> Scrape:
    """Ask for `/metrics` now."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        ClientSession(headers=headers) as session,
        session.get(f"{admin_url}/metrics") as response,
    ):
        assert response.status == 200, await response.text()
        return Scrape(await response.text())
