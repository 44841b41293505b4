"""The routes by which people answer, and pages say what they show: acknowledge, seen, judge, test, told, here."""

from starlette.responses import Response
from starlette.routing import Route

from appliance.dashboard import desk
from appliance.dashboard.console import Console
from appliance.dashboard.posting import Body, number, posted, said, written


def routes(console: Console) -> list[Route]:
    """What is sent to the box."""
    return [
        posted(console, "/acknowledge", _acknowledge),
        posted(console, "/test-alarm", _test_alarm),
        posted(console, "/seen", _seen),
        posted(console, "/judge", _judge),
        posted(console, "/judge-study", _judge_study),
        posted(console, "/told", _told),
        posted(console, "/here", _here),
    ]


async def _acknowledge(console: Console, body: Body) -> Response:
    alert_id, shown = number(body.get("alert")), number(body.get("event"))
    by = desk.person_name(body.get("by"))
    return await written(
        console,
        lambda now_ns: desk.acknowledge(
            console.ledger,
            alert_id=alert_id,
            shown_event=shown,
            by=by,
            page=body["page"],
            now_ns=now_ns,
            where=console.pages.where(body["page"]),
        ),
    )


async def _test_alarm(console: Console, body: Body) -> Response:
    by, page = desk.person_name(body.get("by")), body["page"]
    where = console.pages.where(page)
    return await written(
        console, lambda now_ns: desk.start_test(console.ledger, by=by, page=page, now_ns=now_ns, where=where)
    )


async def _seen(console: Console, body: Body) -> Response:
    study_id = number(body.get("study"))
    by = desk.person_name(body.get("by"))
    page = body["page"]
    return await written(
        console,
        lambda now_ns: desk.see(
            console.ledger, study_id=study_id, by=by, page=page, now_ns=now_ns, where=console.pages.where(page)
        ),
    )


async def _judge(console: Console, body: Body) -> Response:
    alert_id, shown = number(body.get("alert")), number(body.get("event"))
    by = desk.person_name(body.get("by"))
    return await written(
        console,
        lambda now_ns: desk.judge(
            console.ledger,
            alert_id=alert_id,
            shown_event=shown,
            judged=body.get("judged"),
            by=by,
            page=body["page"],
            now_ns=now_ns,
            where=console.pages.where(body["page"]),
        ),
    )


async def _judge_study(console: Console, body: Body) -> Response:
    study_id, judged = number(body.get("study")), body.get("judged")
    by, page = desk.person_name(body.get("by")), body["page"]
    details = {"page": page, **console.pages.where(page)}
    return await written(
        console,
        lambda now_ns: desk.judge_study(
            console.ledger, study_id=study_id, judged=judged, by=by, details=details, now_ns=now_ns
        ),
    )


async def _told(console: Console, body: Body) -> Response:
    if not console.pages.is_connected(body["page"]):
        return said(409, "Only a page with a live stream can say what it shows.")
    alert_id, event_id = number(body.get("alert")), number(body.get("event"))
    sounded = body.get("sounded") is True
    return await written(
        console,
        lambda now_ns: desk.told(
            console.ledger,
            alert_id=alert_id,
            event_id=event_id,
            page=body["page"],
            sounded=sounded,
            now_ns=now_ns,
            where=console.pages.where(body["page"]),
        ),
    )


async def _here(console: Console, body: Body) -> Response:
    console.pages.word(
        body["page"],
        armed=body.get("armed") is True,
        hidden=body.get("hidden") is True,
        monotonic_s=console.clock().monotonic_s,
    )
    return said(200, "heard")
