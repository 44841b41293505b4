"""Logs as JSON lines on standard error. No patient, no UID, no file name: say ids of the ledger and counts."""

import faulthandler
import json
import logging
import sys
import threading
import warnings
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, Final

_UTC: Final = timezone.utc  # by this name Python 3.10 has it too, which runs the child of the graphics card


class _JsonLines(logging.Formatter):
    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, _UTC).isoformat(timespec="milliseconds"),
            "program": self._program,
            "level": record.levelname,
            "event": record.getMessage(),
        }
        line.update(getattr(record, "facts", {}))
        if record.exc_info and record.exc_info[0]:
            # The type and place only: messages of foreign libraries quote values from headers.
            line["error"] = record.exc_info[0].__name__
            line["at_line"] = _innermost(record.exc_info[2])
        return json.dumps(line, ensure_ascii=True)


def _innermost(trace: TracebackType | None) -> str:
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else ""


def start_logs(program: str) -> None:
    """Sends the product's log to standard error and keeps foreign libraries quiet.

    A program that a watchdog or a native library aborts says where each of its threads stood: names of code alone.
    """
    faulthandler.enable(2)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines(program))
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.WARNING)
    logging.getLogger("appliance").setLevel(logging.INFO)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    # watchdog's warning quotes every watched path, and folders may be named after patients.
    warnings.filterwarnings("ignore", module="watchdog")
    log = logging.getLogger("appliance")

    def threads(args: threading.ExceptHookArgs) -> None:
        kind = args.exc_type
        log.critical("a thread has ended", exc_info=(kind, args.exc_value or kind(), args.exc_traceback))

    threading.excepthook = threads
