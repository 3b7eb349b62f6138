"""Notebooks in a real browser: two at once, and one whose server is restarted under it."""

from __future__ import annotations

import uuid

from browser.conftest import StartBrowser
from converged_host import ConvergedHost


def test_two_notebooks_work_at_once_and_do_not_mix(
    inside: ConvergedHost, start_browser: StartBrowser, address: str
) -> None:
    browser = start_browser()
    first = browser.open().notebook(address, "the first notebook")
    second = browser.open().notebook(address, "the second notebook")
    assert first.kernel != second.kernel
    assert first.run("who = 'first'; print(who)") == "first"
    assert second.run("'who' in globals()") == "False"
    assert second.run("who = 'second'; print(who)") == "second"
    # A cell that ends only when the other notebook has run one: they really run side by side.
    flag = f"/tmp/browser-test-{uuid.uuid4().hex}"
    waiting = first.start(f"import os, time\nwhile not os.path.exists({flag!r}): time.sleep(0.02)\nprint(who)")
    assert second.run(f"open({flag!r}, 'x').close(); print(who)") == "second"
    assert first.finish(waiting) == "first"
    assert first.run(f"os.remove({flag!r}); print(who)") == "first"
    assert first.end() == 204
    assert second.run("print(who)") == "second"
    assert second.end() == 204


def test_after_a_restart_the_same_address_leads_to_a_new_kernel(
    inside: ConvergedHost, start_browser: StartBrowser, address: str
) -> None:
    page = start_browser().open()
    notebook = page.notebook(address, "before the restart")
    assert notebook.run("x = 1; print(x)") == "1"
    waiting = notebook.start("import time; time.sleep(600)")
    inside.restart()
    code = notebook.closed()["code"]
    assert notebook.finish(waiting) == f"the kernel's websocket was closed ({code})"
    again = page.notebook(address, "after the restart")
    assert again.kernel != notebook.kernel
    assert again.run("x") == "the cell ended with NameError: name 'x' is not defined"
    assert again.run("import torch; print(torch.ones(2) + torch.ones(2))") == "tensor([2., 2.])"
    assert again.end() == 204
