"""Settings: all faults at once, in words, each with its line."""

import re
import sys
from pathlib import Path

import pytest

from appliance.core.engine_duty import OnRefused
from appliance.settings import BadSettings, commented_toml, parse_settings
from appliance.settings_courier import EmailSettings

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


PAGER = '[courier.channels.pager]\nkind = "webhook"\nurl = "https://gateway.example/"\nsecret_file = "/etc/secret"\n'
SIREN = '[courier.channels.siren]\nkind = "command"\nargv = ["/bin/siren"]\n'
MAIL = '[courier.channels.mail]\nkind = "email"\nhost = "mx"\nfrom = "box@h.example"\nto = ["team@h.example"]\n'


def step(name: str, after_s: float, *channels: str) -> str:
    return f'[[courier.steps]]\nname = "{name}"\nafter_s = {after_s}\nchannels = {list(channels)}\n'.replace("'", '"')


@pytest.mark.parametrize("url", ["ftp://x", "gateway", "http://", "https://a b/c"])
def test_a_gateway_must_be_a_web_address(url: str) -> None:
    [fault] = faults_of(GOOD + PAGER.replace("https://gateway.example/", url))
    assert "line 12: courier.channels.pager.url must be a web address" in fault


def test_channels_without_steps_are_all_told_at_once_and_none_is_no_ladder() -> None:
    policy = parse_settings(GOOD + PAGER + MAIL, "bw.toml").courier.escalation
    assert [(one.name, one.after_s, one.channels) for one in policy.steps] == [("pager, mail", 0.0, ("pager", "mail"))]
    assert parse_settings(GOOD, "bw.toml").courier.escalation.steps == ()


def test_steps_name_channels_in_the_order_of_their_time() -> None:
    text = GOOD + '[courier]\nrepeat_s = 60\ntechnical = ["mail"]\n' + PAGER + SIREN + MAIL
    policy = parse_settings(
        text + step("Ward", 0, "pager") + step("Team", 90, "siren", "pager"), "x"
    ).courier.escalation
    assert [(one.name, one.after_s, one.channels) for one in policy.steps] == [
        ("Ward", 0.0, ("pager",)),
        ("Team", 90.0, ("siren", "pager")),
    ]
    assert (policy.repeat_s, policy.technical, policy.everybody) == (60.0, ("mail",), ("pager", "siren"))


@pytest.mark.parametrize(
    ("more", "line", "said"),
    [
        (PAGER + step("A", 0, "pager", "pagr"), 17, 'courier.steps 1.channels names "pagr", which is no channel'),
        (PAGER + step("A", 9, "pager") + step("B", 9, "pager"), 20, "courier.steps 2.after_s must be later than"),
        (PAGER + SIREN + step("A", 0, "pager"), 14, "courier.channels.siren is told nothing: name it in a step"),
        ('[courier]\ntechnical = ["mail"]\n', 11, 'courier.technical names "mail", which is no channel'),
        (PAGER + step("A", -1, "pager"), 16, "courier.steps 1.after_s should be greater than or equal to 0"),
        (PAGER + step(" ", 0, "pager"), 15, "courier.steps 1.name must be a name of 1 to 40 letters"),
        (PAGER + step("A", 0), 17, "courier.steps 1.channels must not be empty"),
        (PAGER.replace("pager", "Pager 1"), None, "this is not TOML"),
        (PAGER.replace("channels.pager", 'channels."Pager 1"'), 10, "must be a short name of small letters"),
        (PAGER.replace("channels.pager", "channels.page"), 10, "is a word of the record for something else"),
        (PAGER.replace('"webhook"', '"fax"'), 10, "courier.channels.pager needs a kind: one of webhook, email, command"),
        (PAGER.replace('kind = "webhook"\n', ""), 10, "courier.channels.pager needs a kind"),
        (PAGER.replace("channels.pager", "webhook"), 10, "courier.webhook is not a setting any more: channels have names"),
        (SIREN.replace("/bin/siren", "siren"), 10, "courier.channels.siren argv must begin with the whole path"),
        (SIREN + "timeout_s = 60\n", 13, "courier.channels.siren.timeout_s should be less than or equal to 25"),
        (MAIL.replace("team@h.example", "team"), 14, "courier.channels.mail.to 1 must be a mail address"),
        (MAIL.replace("box@h.example", "box@h.example\\r\\nBcc: x@y.example"), 13, "courier.channels.mail.from must be a"),
        (MAIL + 'user = "box"\n', 10, "courier.channels.mail user and password_file belong together"),
        (MAIL + 'user = "box"\npassword_file = "/p"\nsecurity = "none"\n', 10, "would send the password in the open"),
    ],
)  # fmt: skip
def test_faults_of_the_courier_are_told_in_words_with_their_line(more: str, line: int | None, said: str) -> None:
    [fault] = faults_of(GOOD + more)
    assert said in fault
    assert line is None or f"line {line}: " in fault


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_a_mail_server_has_its_usual_port(security: str, port: int) -> None:
    courier = parse_settings(GOOD + MAIL + f'security = "{security}"\n', "x").courier
    mail = courier.channels["mail"]
    assert isinstance(mail, EmailSettings)
    assert mail.port_used == port


def test_the_file_that_init_writes_is_in_order_and_so_is_what_it_shows() -> None:
    text = commented_toml(root=Path("/var/lib/bw"), inbox=Path("/srv/in"), engine=Path("/opt/e"))
    assert parse_settings(text, "first").inbox.folder == Path("/srv/in")
    own, shown = text.split("# [courier]\n")
    courier = parse_settings(own + "[courier]\n" + re.sub(r"(?m)^# ?", "", shown), "first").courier
    assert list(courier.channels) == ["pager", "mail", "siren"]
    assert [one.name for one in courier.escalation.steps] == ["Ward pager", "Stroke team"]


def test_the_engines_lines_that_init_shows_are_settings_too() -> None:
    text = commented_toml(root=Path("/var/lib/bw"), inbox=Path("/srv/in"), engine=Path("/opt/e"))
    shown = re.sub(r"(?m)^# (plans|python) =", r"\1 =", text)
    assert shown.count("\nplans =") == shown.count("\npython =") == 1
    engine = parse_settings(shown, "first").engine
    assert engine.plans_folder == Path("/var/lib/bleedwatch/plans")
    assert engine.interpreter == Path("/opt/tensorrt/bin/python")
    plain = parse_settings(text, "first").engine
    default = parse_settings(GOOD.replace("/opt/engine", "/opt/e"), "x").engine
    assert plain == default.model_copy(update={"plans": plain.plans}), "what is written is the default"
    assert (plain.backend, plain.on_refused) == ("auto", OnRefused.FALLBACK)
    assert plain.plans_folder == Path("/var/lib/bw/state/plans")  # an upgrade replaces the engine's folder
    assert plain.interpreter == Path(sys.executable)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('backend = "cuda"', "engine.backend should be 'auto', 'onnxruntime' or 'tensorrt'"),
        ('precision = "int8"', "engine.precision should be 'fp16' or 'fp32'"),
        ('on_refused = "ignore"', "engine.on_refused should be 'rebuild', 'fallback' or 'fail'"),
        ('plans = "plans"', "engine.plans must be a whole path that begins with /"),
        ('python = "python3"', "engine.python must be a whole path that begins with /"),
        ("max_batch = 0", "engine.max_batch should be greater than or equal to 1"),
        ("deadline_s = 10", "engine.deadline_s should be less than or equal to 2"),
    ],
)
def test_faults_of_the_engine_are_told_in_words_with_their_line(more: str, said: str) -> None:
    (fault,) = faults_of(GOOD + more + "\n")
    assert f"line 10: {said}" in fault


@pytest.mark.parametrize("hours", ["[19, 7]", "[7, 7]", "[-1, 7]", "[7, 25]"])
def test_working_hours_are_of_one_day(hours: str) -> None:
    (fault,) = faults_of(GOOD + f"[dashboard]\nworking_hours = {hours}\n")
    assert "working_hours must be two hours of one day" in fault


def test_names_stay_off_the_wall_screen_unless_the_site_says_otherwise() -> None:
    assert not parse_settings(GOOD, "bw.toml").dashboard.kiosk_names
    assert parse_settings(GOOD + "[dashboard]\nkiosk_names = true\n", "bw.toml").dashboard.kiosk_names
