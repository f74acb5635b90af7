"""What a hostile model, or somebody who hands out a conversation, could write to harm who reads it."""

LINKS = """
[script link](javascript:window.harmed=1)
[data link](data:text/html,<script>window.harmed=1</script>)
[vb link](vbscript:msgbox(1))
[spoof https://example.org](https://evil.example/login) [www.bank.example](https://evil.example/login)
<a href="JaVaScRiPt:window.harmed=1" onclick="window.harmed=1" target="_top">raw link</a>
<javascript:window.harmed=1>
![picture](https://evil.example/pixel.png "t")
![data](data:image/svg+xml,<svg onload=window.harmed=1>)
"""

SCRIPTS = """
<script>window.harmed = 1</script>
<img src=x onerror="window.harmed=1">
<svg onload="window.harmed=1"><script>window.harmed=1</script></svg>
<iframe src="javascript:parent.harmed=1"></iframe>
<object data="data:text/html,<script>parent.harmed=1</script>"></object>
<form action="https://evil.example"><input name="parentNode"></form>
<form action="https://evil.example"><input name=q autofocus onfocus="window.harmed=1"><button>Go</button></form>
<math><mtext><table><mglyph><style><img src=x onerror="window.harmed=1"></style></mglyph></table></mtext></math>
<meta http-equiv="refresh" content="0;url=https://evil.example">
<base href="https://evil.example/"><link rel="stylesheet" href="https://evil.example/a.css">
<details open ontoggle="window.harmed=1"><summary>x</summary></details>
$\\href{javascript:window.harmed=1}{x}$ $\\htmlStyle{position:fixed;inset:0}{x}$ $\\includegraphics{https://evil.example/a.png}$
"""

CSS = """
<style>body, .sidebar { display: none !important }</style>
<div style="position:fixed;inset:0;z-index:99999;background:red">covered</div>
<div class="shade toasts dialog splash visually-hidden" id="app">classes of the page</div>
<p id="place">an id of the page</p>
"""

BROKEN_TABLES = "| a | b\n|---|:-:|--\n| 1 |\n|||||||\n| `|` | <td onclick=window.harmed=1>\n\n|-|\n|\n" * 20

NESTED = "".join(f"{' ' * min(level, 100)}- item\n" for level in range(5000)) + "\n" + "1. " * 5000 + "deep\n\n"
MARKS = "[" * 20000 + "\n\n" + "`" * 5001 + "x" + "`" * 5000 + "\n\n" + "<a " * 5000 + "\n\n" + "$" * 9999

MARKUP = SCRIPTS + CSS + LINKS

SPOKEN = """
<script>window.harmed = 1</script> <img src=x onerror="window.harmed=1"> <style>* { display: none }</style>
<div style="position:fixed;inset:0">covered</div>

[a](javascript:window.harmed=1) [www.bank.example](https://evil.example/login) ![picture](https://evil.example/p.png)
$\\href{javascript:window.harmed=1}{x}$
"""
"""Some of it, short enough for a real model to say it in a test."""

PARTS = "Some *words* with **weight** and [a link](https://example.org).\n\n- one\n- two\n\n```js\nlet a;\n```\n\n"

ANSWERS = {
    "markup": MARKUP,
    "scripts alone": SCRIPTS,
    "links alone": LINKS,
    "CSS alone": CSS,
    "broken tables": BROKEN_TABLES,
    "nested": NESTED,
    "marks": MARKS,
    "200 kB": PARTS * 1950,
    "nested quotes": ">" * 5000 + " deep",
    "nested quotes, apart": "> " * 5000 + "deep",
    "nested lists": "- " * 5000 + "deep",
    "nested lists in lines": "\n".join(" " * (2 * depth) + "- deep" for depth in range(400)),
    "a broken table": "|a|b\n|-|-\n" + "|1|2|3\n|\n" * 1500,
    "brackets": "[" * 50_000,
    "stars": "*a_" * 10_000,
    "one word": "a" * 200_000,
}
