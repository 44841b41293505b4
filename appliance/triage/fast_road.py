"""How the backend on the graphics card is brought up by the settings: its start, its test, its plan built anew."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from appliance.core.engine_duty import OnRefused
from appliance.inference.backend import Starting
from appliance.inference.fast_engine import start_fast
from appliance.inference.golden import GoldenTest, allowed_logit
from appliance.inference.loading import LoadedEngine
from appliance.settings import Settings
from appliance.triage.plan_build import BuildEnd, PlanBuild, build_command

BUILD_LOG: Final = "plan-build.log"


class Build(Protocol):
    """A plan that is being built."""

    @property
    def said(self) -> str:
        """The builder's last line."""
        ...

    def poll(self, now_s: float) -> BuildEnd | None:
        """How it ended, None while it works."""
        ...

    def close(self) -> None:
        """Ends it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FastRoad:
    """How the fast backend is brought up. `start` and `build` take the monotonic clock, and raise what `Starting` does.

    `golden`: its test, by the tolerance of its precision.
    """

    start: Callable[[float], Starting]
    golden: GoldenTest
    on_refused: OnRefused
    build: Callable[[float], Build]


def fast_road(settings: Settings, engine: LoadedEngine) -> FastRoad:
    """For the engine that is the spare on this box."""
    said = settings.engine
    golden = GoldenTest(engine.files, allowed_logit(engine.files, said.precision))
    log_path = settings.runtime_folder / BUILD_LOG
    return FastRoad(
        start=lambda now_s: start_fast(engine.files, golden, said, now_s),
        golden=golden,
        on_refused=said.on_refused,
        build=lambda now_s: PlanBuild(build_command(said), log_path, now_s),
    )
