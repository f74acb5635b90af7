"""`/metrics`: the official parser reads it, Prometheus' rules of naming hold, and the docs have every line of it."""

import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from support import asgi
from support.embed_app import serving as serving_encoder
from support.hosted import Hosted, hosting, until
from support.scraped import scraped
from support.scripted_loader import Script
from support.scripted_model import SLOW_STEP_S, says, write_model_folder
from support.tiny_encoder import bert_config, bert_weights, write_sentence_transformer

from obeaver.models.encoder.importer import import_encoder
from obeaver.models.progress import SilentProgress

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `([a-z0-9_:]+)` \| (counter|gauge|histogram) \|", re.MULTILINE)

OF_VLLMS_DASHBOARDS = {
    "http_requests_total",
    "vllm:e2e_request_latency_seconds",
    "vllm:generation_tokens_total",
    "vllm:inter_token_latency_seconds",
    "vllm:kv_cache_usage_perc",
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:prefix_cache_hits_total",
    "vllm:prefix_cache_queries_total",
    "vllm:prompt_tokens_total",
    "vllm:request_decode_time_seconds",
    "vllm:request_generation_tokens",
    "vllm:request_params_max_tokens",
    "vllm:request_prefill_time_seconds",
    "vllm:request_prompt_tokens",
    "vllm:request_queue_time_seconds",
    "vllm:request_success_total",
    "vllm:time_to_first_token_seconds",
}
"""Read by `examples/observability` of vllm-project/vllm, as far as the meaning is the same."""

ABBREVIATED = {"s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "m", "h", "d", "millis"}
KINDS = {"gauge", "counter", "histogram", "summary"}


async def metrics(app: Any) -> asgi.Reply:
    # As a scraper asks that would rather have OpenMetrics.
    accept = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5"
    return await asgi.request(app, "GET", "/metrics", headers={"accept": accept})


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Hosted]:
    """A server that has answered, refused and failed."""
    models = {"good": Script(reply=says("Hello")), "bad": Script(fails=lambda num_runs: num_runs > 1)}
    async with hosting(tmp_path, models, "good", "bad") as served:
        await served.answer()
        await served.answer(max_tokens=2)
        await served.answer(stop="ell")
        assert (await served.chat(max_tokens=0)).status == 400
        assert (await served.chat(model="bad", max_tokens=9)).status == 500
        assert (await asgi.request(served.app, "GET", "/nowhere")).status == 404
        yield served


@pytest.fixture
async def embed(tmp_path: Path) -> AsyncIterator[Any]:
    source = write_sentence_transformer(tmp_path / "source", bert_weights(), bert_config())
    folder = tmp_path / "tiny-bert"
    folder.mkdir()
    import_encoder(source, folder, weights="fp32", name="tiny-bert", progress=SilentProgress())
    async with serving_encoder(folder) as served:
        await served.embed(["w1 w2", "w3"])
        yield served


def families(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def full_name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def complaints(found: Iterable[Metric]) -> list[str]:
    """Against Prometheus' rules of naming, as its promtool has them; but for the colon of vLLM's names."""
    told = []
    for family in found:
        name, parts = full_name(family), set(full_name(family).replace(":", "_").split("_"))
        told += [f"{name}: no help"] * (not family.documentation)
        told += [f"{name}: a colon"] * (":" in name and not name.startswith("vllm:"))
        told += [f"{name}: capitals"] * (name != name.lower())
        told += [f"{name}: _total of a {family.type}"] * (family.type != "counter" and name.endswith("_total"))
        told += [f"{name}: {part}" for part in parts & (ABBREVIATED | KINDS)]
        told += [f"{name}: ends like a series"] * name.endswith(("_count", "_sum", "_bucket"))
        labels = {label for sample in family.samples for label in sample.labels}
        told += [f"{name}: le"] * ("le" in labels and family.type != "histogram")
        told += [f"{name}: {label}" for label in labels if not re.fullmatch("[a-z_]+", label)]
    return told


async def test_the_official_parser_reads_it_and_no_rule_of_naming_is_broken(chat: Hosted, embed: Any) -> None:
    for app in (chat.app, embed.app):
        reply = await metrics(app)
        assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert complaints(families(reply.body.decode())) == []


PROMTOOL = shutil.which("promtool") or ""


@pytest.mark.skipif(not PROMTOOL, reason="promtool is not here: it comes with Debian's prometheus")
async def test_promtool_has_nothing_to_say_but_of_the_colons(chat: Hosted, embed: Any) -> None:
    for app in (chat.app, embed.app):
        text = (await metrics(app)).body
        judged = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, check=False)  # noqa: ASYNC221
        said = (judged.stdout + judged.stderr).decode().splitlines()
        assert [line for line in said if not re.fullmatch(r"vllm:\S+ metric names should not contain ':'", line)] == []


async def test_the_docs_have_every_metric_with_its_type_and_no_other(chat: Hosted, embed: Any) -> None:
    told = {
        full_name(family): family.type
        for app in (chat.app, embed.app)
        for family in families((await metrics(app)).body.decode())
    }
    rows = dict(ROW.findall(DOCS.read_text(encoding="utf-8")))
    assert {name: kind for name, kind in rows.items() if not name.startswith("process_")} == {
        name: kind for name, kind in told.items() if not name.startswith("process_")
    }
    # Which of the process's own there are depends on the system.
    assert {name for name in told if name.startswith("process_")} <= rows.keys()


async def test_vllms_dashboards_find_what_they_ask_for(chat: Hosted) -> None:
    found = {full_name(family): family for family in families((await metrics(chat.app)).body.decode())}
    assert found.keys() >= OF_VLLMS_DASHBOARDS
    for name in OF_VLLMS_DASHBOARDS - {"http_requests_total"}:
        assert {sample.labels["model_name"] for sample in found[name].samples} == {"good", "bad"}


async def test_counters_agree_with_what_was_answered(chat: Hosted) -> None:
    read = scraped(await metrics(chat.app))
    ended = {
        reason: read("vllm:request_success_total", model_name="good", finished_reason=reason)
        for reason in ("stop", "length", "abort", "error")
    }
    # An answer that a stop string ended is whole, though the engine was told to stop.
    assert ended == {"stop": 2, "length": 1, "abort": 0, "error": 0}
    assert read("vllm:request_success_total", model_name="bad", finished_reason="error") == 1
    chat_route = {"handler": "/v1/chat/completions", "method": "POST"}
    statuses = [read("http_requests_total", **chat_route, code=code) for code in ("200", "400", "500")]
    assert statuses == [3, 1, 1]
    assert read("http_requests_total", handler="none", status="4xx", code="404") == 1
    assert read("obeaver_errors_total", code="engine_failed") == 1
    assert read("obeaver_errors_total", code="not_found") == 1
    of_good = {"model_name": "good"}
    assert read("vllm:time_to_first_token_seconds_count", **of_good) == 3
    num_tokens = read("vllm:generation_tokens_total", **of_good)
    assert read("vllm:request_generation_tokens_sum", **of_good) == num_tokens
    assert read("vllm:inter_token_latency_seconds_count", **of_good) == num_tokens - 3
    assert read("vllm:prompt_tokens_total", **of_good) == read("vllm:request_prompt_tokens_sum", **of_good)
    for name in ("queue_time_seconds", "prefill_time_seconds", "decode_time_seconds", "inference_time_seconds"):
        assert read(f"vllm:request_{name}_count", **of_good) == 3
    assert read("vllm:e2e_request_latency_seconds_count", **of_good) == 3


async def test_counters_go_on_when_a_model_is_exchanged(tmp_path: Path) -> None:
    models = {"one": Script(reply=says("Hello")), "two": Script(reply=says("Hello"))}
    async with hosting(tmp_path, models, "one") as served:
        await served.answer()
        assert (await served.load("two")).status == 200
        await until(lambda: not served.host.leaving)
        assert (await served.load("one")).status == 200
        await served.answer()
        read = scraped(await metrics(served.app))
        assert read("vllm:request_success_total", model_name="one", finished_reason="stop") == 2


async def test_an_engine_that_is_left_is_counted_with_the_one_that_took_its_place(tmp_path: Path) -> None:
    endless = Script(reply=lambda _prompt: None, step_s=SLOW_STEP_S)
    async with hosting(tmp_path, {"one": endless}, "one") as served, served.streaming() as (old, _):
        await old.chunk(2)
        with served.store.staging("one") as folder:
            write_model_folder(folder)
            (folder / "notes.txt").write_text("made anew", encoding="utf-8")
        assert (await served.load("one")).status == 200
        async with served.streaming() as (new, _):
            await new.chunk(2)
            assert [held.name for held in (*served.host.held, *served.host.leaving)] == ["one", "one"]
            read = scraped(await metrics(served.app))
            assert read("vllm:num_requests_running", model_name="one") == 2
            assert read("obeaver_rows_limit", model_name="one") == 8


async def test_a_client_that_left_is_counted_as_an_abort(tmp_path: Path) -> None:
    async with hosting(tmp_path, {"slow": Script(reply=says("x" * 3000), step_s=0.01)}, "slow") as served:
        async with served.streaming(max_tokens=3000) as (exchange, task):
            await exchange.chunk(2)
            await exchange.leave()
            await task
        model = served.host.model
        assert model is not None
        await model.worker.idle()
        read = scraped(await metrics(served.app))
        assert read("vllm:request_success_total", model_name="slow", finished_reason="abort") == 1
        assert read("vllm:num_requests_running", model_name="slow") == 0


async def test_an_encoder_counts_texts_and_requests(embed: Any) -> None:
    read = scraped(await metrics(embed.app))
    assert read("obeaver_texts_total") == 2
    assert read("vllm:request_success_total", finished_reason="stop") == 1
    assert read("vllm:e2e_request_latency_seconds_count") == 1
    assert read("obeaver_requests_open") == 0
    assert read("obeaver_event_loop_lag_seconds_count") >= 0


async def test_methods_that_clients_make_up_are_one_series(chat: Hosted) -> None:
    for method in ("FOO", "BAR"):
        await asgi.request(chat.app, method, "/health")
    read = scraped(await metrics(chat.app))
    assert read("http_requests_total", method="other", code="405") == 2
