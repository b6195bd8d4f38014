"""Run a pipeline whose process is killed in every stage, and one that is left alone.

    python killed.py REPLAYS OUT

Everything is imported once; each attempt is a forked process. Prints one JSON object: the exit codes
of the attempts, and the results of both pipelines.
"""

import json
import os
import signal
import sys
import threading
import traceback
from contextlib import contextmanager
from pathlib import Path

import shadowbox.evaluate.policy
import shadowbox.evaluate.worlds.suite
import shadowbox.learners.dynamics.task
import shadowbox.learners.imitation_task  # noqa: F401
from shadowbox.games import load
from shadowbox.pipeline.config import _PipelineConfig
from shadowbox.pipeline.plan import STAGES
from shadowbox.pipeline.run import plan_pipeline, start

MELEE = load("melee")
SMALL = {
    "policy_preset": "tiny", "policy_steps": 8, "world_steps": 8, "batch": 2, "length": 16,
    "judged_episodes": 4, "starts": 4, "frames": 20, "matches": 2, "match_frames": 30, "workers": 1,
}  # fmt: skip
MOMENT = 0.15  # seconds between the beginning of a stage and the kill


@contextmanager
def quiet(what):
    """No progress."""
    yield None


def run(replays, out, stop="", after=0.0):
    """Run or resume the pipeline; die in the stage `stop`."""

    def say(text):
        if text.startswith(f"{stop}: ") and not text.endswith("done before"):
            threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL)).start()

    config = _PipelineConfig.of(SMALL)
    plan = plan_pipeline(MELEE, "melee", [str(replays)], out, config, resume=True, say=say)
    return start(MELEE, plan, out, say=say if stop else lambda text: None, progress=quiet)


def forked(replays, out, stop="", after=0.0):
    """Exit code of the attempt in a process of its own; negative: the signal that ended it."""
    child = os.fork()
    if not child:
        try:
            run(replays, out, stop, after)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(replays, out):
    """All attempts in one folder, which is moved away for the pipeline that is left alone."""
    place = out / "run"  # the same for both: the seeds of matches follow from the names of agents
    codes = {stage: forked(replays, place, stage, MOMENT) for stage in STAGES}
    codes["end"] = forked(replays, place)
    place.rename(out / "killed")
    codes["alone"] = forked(replays, place)
    json.dump({"codes": codes}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
