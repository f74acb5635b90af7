"""axe-core finds nothing to complain of: every view, both themes, a phone's width and a desk's."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from support.axe import COLOUR_RULES, axe_script, violations
from support.browser import Pages

from dashboard.chat_page import ask, import_file, open_chat, rendered, save_export

pytestmark = [pytest.mark.real, pytest.mark.slow]

VIEWS = {
    "chat": "textarea",
    "models": ".model .facts",
    "system": "[role=meter]",
    "engine": "canvas",
    "compare": ".compare-parameters input",
    "bench": "form.bench-form",
    "settings": ".segments",
}


MARKDOWN = """
#### A heading of rank 4 is the first

##

# One of rank 1, and then ###### none

###### Rank 6 behind rank 1

> ### In a quotation

- [ ] to do
- [x] done
  1. in a list
     ##### A heading in a list

| a | | c |
| --- | :-: | --- |
| 1 | 2 | |

|  |  |
| --- | --- |
| no | names |

[](https://example.org) and [a link](https://example.org), $x^2$, H<sub>2</sub>O and <kbd>Ctrl</kbd>.

<details><summary></summary>folded</details>

<summary>

```
no language
```

```html
<h1>code</h1>
```

---

$$\\int_0^1 x\\,dx$$
"""
"""What a model may write in an answer, as far as a screen reader could stumble over it."""


@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_violation_in_whatever_markdown_a_model_writes(pages: Pages, tmp_path: Path, width: int) -> None:
    save_export(tmp_path / "a.json", MARKDOWN, MARKDOWN)
    page = open_chat(pages, tokens=None, width=width, bypass_csp=True, reduced_motion="reduce")
    if width < 768:
        page.get_by_role("button", name="Menu").first.click()
    import_file(page, tmp_path / "a.json")
    expect(page.locator(".turn.assistant")).to_have_count(2)
    for turn in page.locator(".turn.assistant").all():
        rendered(turn)
    found = _violations(page, axe_script())
    assert not found, "\n".join(found)


@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_violation_in_any_view(pages: Pages, width: int) -> None:
    script = axe_script()
    page = pages.open(width=width, bypass_csp=True, reduced_motion="reduce")
    ask(page, "Say hello.")
    found = {"a chat with an answer": _violations(page, script)}
    for view, landmark in VIEWS.items():
        page.evaluate("view => { location.hash = `#/${view}` }", view)
        expect(page.locator(landmark).first).to_be_visible()
        found[view] = _violations(page, script)
    if width < 768:
        page.get_by_role("button", name="Menu").first.click()
        expect(page.get_by_role("link", name="Engine")).to_be_visible()
        found["menu"] = _violations(page, script)
    assert not any(found.values()), json.dumps({name: faults for name, faults in found.items() if faults}, indent=1)


def _violations(page: Page, script: str) -> list[str]:
    """By day every rule; at night those of colours, which is all that changes."""
    page.emulate_media(color_scheme="light")
    by_day = violations(page, script)
    page.emulate_media(color_scheme="dark")
    return by_day + violations(page, script, rules=COLOUR_RULES)
