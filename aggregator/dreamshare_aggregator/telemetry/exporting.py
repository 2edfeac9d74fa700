"""Spans to a collector, over OTLP and HTTP; needs the extra `otel`.

Rules: the SDK is imported when it is asked for; spans leave from the SDK's own thread, so that a
collector that is away costs the aggregator nothing but the spans.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import Tracer

from dreamshare.errors import ConfigError


@contextmanager
def tracer_to(endpoint: str) -> Iterator[Tracer]:
    """Give a tracer whose spans go to a collector; what is left is sent at the end.

    Args:
        endpoint: of OTLP over HTTP, e.g. "http://127.0.0.1:4318/v1/traces".

    Raises:
        ConfigError: the SDK is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        text = f"otlp_endpoint needs {error.name}: pip install 'dreamshare[otel]'"
        raise ConfigError(text) from None
    provider = TracerProvider(resource=Resource({"service.name": "dreamshare-aggregator"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    try:
        yield provider.get_tracer("dreamshare.aggregator")
    finally:
        provider.shutdown()
