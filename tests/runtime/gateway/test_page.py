"""The page at `/` is whole by itself."""

from __future__ import annotations

import re

from tests.runtime.gateway.harness import Edge


async def test_the_page_and_its_files(edge: Edge) -> None:
    page = await edge.send("GET", "/", token=None)
    text = page.body.decode()
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "'unsafe" not in page.headers["Content-Security-Policy"]
    named = re.findall(r'(?:src|href)="([^"#]+)"', text)
    assert {"/static/page.css", "/static/page.js"} <= set(named)
    for path in named:
        if not path.startswith("data:"):
            assert (await edge.send("GET", path, token=None)).status == 200, path


async def test_it_asks_no_other_host_and_needs_no_exception_from_its_policy(edge: Edge) -> None:
    for path in ("/", "/static/page.css", "/static/page.js"):
        text = (await edge.send("GET", path, token=None)).body.decode()
        assert re.findall(r"https?://(?!www\.w3\.org/)", text) == []
        assert "@import" not in text
        assert not re.search(r"<[^>]+\s(?:style|on\w+)=", text)
        assert not re.search(r"<(?:script|style)>", text)
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(", text)


async def test_what_the_page_asks_for_is_there(edge: Edge) -> None:
    script = (await edge.send("GET", "/static/page.js", token=None)).body.decode()
    asked = set(re.findall(r'"(/[a-z0-9/.]+)"', script))
    assert {"/readyz", "/openapi.json", "/api/v1/status"} <= asked
    for path in asked:
        assert (await edge.send("GET", path, token=None)).status == 200, path
