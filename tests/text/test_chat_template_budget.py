import time

import pytest
from jinja2.exceptions import SecurityError

from obeaver.text import chat_template_budget
from obeaver.text.chat_template_budget import MAX_SECONDS, MAX_WORK, Budget


def test_work_up_to_the_limit_is_paid_for() -> None:
    budget = Budget()
    budget.spend(MAX_WORK)
    with pytest.raises(SecurityError, match="too much"):
        budget.spend(1)


def test_a_rendering_that_takes_too_long_ends() -> None:
    now = 100.0
    budget = Budget(clock=lambda: now)
    now += MAX_SECONDS
    budget.spend(1)
    now += 0.1
    with pytest.raises(SecurityError, match="too long"):
        budget.spend(1)


def test_time_in_which_others_compute_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_template_budget, "MAX_SECONDS", 0.2)
    budget = Budget()
    time.sleep(0.3)
    budget.spend(1)
