"""Settings: all faults at once, in words, each with its line."""

from pathlib import Path

import pytest

from appliance.settings import BadSettings, commented_toml, parse_settings

GOOD = """state_folder = "/var/lib/bleedwatch/state"
store_folder = "/var/lib/bleedwatch/store"
runtime_folder = "/run/bleedwatch"

[inbox]
folder = "/srv/inbox"

[engine]
folder = "/opt/engine"
"""


def faults_of(text: str) -> list[str]:
    with pytest.raises(BadSettings) as caught:
        parse_settings(text, "bw.toml")
    return caught.value.faults


def test_a_good_file_has_the_defaults() -> None:
    settings = parse_settings(GOOD, "bw.toml")
    assert settings.inbox.owned is True
    assert settings.dashboard.host == "127.0.0.1"
    assert settings.database == Path("/var/lib/bleedwatch/state/bleedwatch.sqlite")


def test_every_fault_is_told_at_once_with_its_line() -> None:
    text = GOOD.replace('"/srv/inbox"', '"inbox"').replace("[engine]", "[engine]\nthreads = 0\ntheads = 2")
    text = text.replace('runtime_folder = "/run/bleedwatch"\n', "")
    faults = faults_of(text)
    assert len(faults) == 4
    assert any("line 5: inbox.folder must be a whole path" in fault for fault in faults)
    assert any("line 8: engine.threads" in fault and "greater than or equal to 1" in fault for fault in faults)
    assert any("line 9: engine.theads is not a setting of Bleedwatch" in fault for fault in faults)
    assert any("runtime_folder is missing" in fault for fault in faults)


def test_a_file_that_is_no_toml_says_where() -> None:
    assert "line 2" in faults_of('state_folder = "/a"\nstore_folder = \n')[0]


def test_a_board_that_others_can_reach_is_refused_in_words() -> None:
    [fault] = faults_of(GOOD + '[dashboard]\nhost = "0.0.0.0"\n')
    assert "line 10" in fault and "users and a certificate" in fault


@pytest.mark.parametrize("url", ["ftp://x", "gateway", "http://", "https://a b/c"])
def test_a_gateway_must_be_a_web_address(url: str) -> None:
    [fault] = faults_of(GOOD + f'[courier.webhook]\nurl = "{url}"\nsecret_file = "/etc/secret"\n')
    assert "courier.webhook.url must be a web address" in fault


def test_the_file_that_init_writes_is_in_order() -> None:
    text = commented_toml(root=Path("/var/lib/bw"), inbox=Path("/srv/in"), engine=Path("/opt/e"))
    assert parse_settings(text, "first").inbox.folder == Path("/srv/in")
    uncommented = text.replace("# [courier.webhook]", "[courier.webhook]").replace("# url", "url")
    assert parse_settings(uncommented.replace("# secret_file", "secret_file"), "first").courier.webhook is not None
