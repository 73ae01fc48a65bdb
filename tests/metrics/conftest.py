"""What several files of this folder need: a scrape, read back by Prometheus' own parser."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics.exposition import Exposition


def scrape(counts):
    """Every series with its value: `{("name", (("label", "value"), …)): 1.0}`."""
    return parse(Exposition(counts).text())


def parse(text):
    samples = [sample for family in text_string_to_metric_families(text.decode()) for sample in family.samples]
    series = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}
    assert len(series) == len(samples), "a series stands twice"
    return series


class Kit:
    scrape = staticmethod(scrape)
    parse = staticmethod(parse)


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    return Kit
