"""What one core does per delivery, here and as an executor of Spark: the numbers by which a cluster is sized.

python -m benchmarks.spark FOLDER [MASTER]       one of them; used by `python -m benchmarks`
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import exports, measure

STEPS = {"staged": "stage a delivery", "superseded": "compare the deliveries", "cube": "facts and cube of a delivery"}


def run(cache: Path, size: int, deliveries: int, master: str) -> list[dict[str, Any]]:
    """What the deliveries cost with threads of one process, and on Spark."""
    files = exports.write(cache, round(size / exports.ANSWERS), deliveries)
    done: list[dict[str, Any]] = []
    for arguments in ([], [master]):
        with tempfile.TemporaryDirectory(dir=cache) as place:
            exports.raw_folder(Path(place), files)
            done.append(measure.told("benchmarks.spark", place, *arguments))
            done[-1] |= {"master": master, "delivered": sum(file.stat().st_size for file in files)}
    return done


def table(done: list[dict[str, Any]]) -> str:
    """Two tables as Markdown: what a million answers cost, and what Spark adds."""
    here, spark = done
    millions = here["answers"] / 1e6
    lines = ["| of a million answers | CPU s | MB |", "|---|--:|--:|"]
    lines.append(f"| the delivery | | {here['delivered'] / 1e6 / millions:.0f} |")
    for step, text in STEPS.items():
        lines.append(f"| {text} | {here['cpu'][step] / millions:.1f} | {here['bytes'][step] / 1e6 / millions:.1f} |")
    lines += ["", "| | wall s | CPU s | begin, s | stage, s | facts and cube, s |", "|---|--:|--:|--:|--:|--:|"]
    for name, one in (("threads of one process", here), (f"Spark, {spark['master']}", spark)):
        numbers = [
            one["wall"],
            sum(one["cpu"].values()),
            one["begin"],
            one["seconds"]["staged"],
            one["seconds"]["cube"],
        ]
        lines.append(f"| {name} | " + " | ".join(f"{number:.1f}" for number in numbers) + " |")
    return "\n".join(lines)


def _measure(place: Path, master: str | None) -> dict[str, Any]:
    """Make what is made per delivery, imports done; here on one thread after the other kind of step."""
    os.environ |= {f"MEETLAT_{n.upper()}": str(place / n) for n in ("raw", "warehouse", "state")}
    os.environ["MEETLAT_SPARK"] = master or ""
    from pipelines import plan, refresh, settings, spark, staging, supersession  # noqa: F401
    from pipelines.engine import side_by_side

    refresh.prepare(settings.load())
    build = plan.Build(plan.look(settings.load()))
    every = [(s, d) for s in build.inputs.sources.values() for d in s.deliveries]
    maps = [model for model in build.inputs.models.values() if model.per_delivery]
    cpu, seconds, began = {}, {}, time.perf_counter()

    def step(name: str, work: Any) -> None:
        clock, before = time.perf_counter(), _cpu()
        work()
        cpu[name], seconds[name] = _cpu() - before, time.perf_counter() - clock

    if master is None:
        step("staged", lambda: side_by_side(build.settings, lambda key: build.staged(*key), every))
        step("superseded", lambda: [build.delivered(model) for model in maps])
        step("cube", lambda: side_by_side(build.settings, lambda key: build.of_delivery(*key), every))
        begin = 0.0
    else:
        step("all", lambda: spark.make(build))
        seconds = dict.fromkeys(STEPS, 0.0)
        for name, start, ended in build.made:
            if name in STEPS:
                seconds[name] += ended - start
        begin = min(start for name, start, _ in build.made if name == "staged") - began
    parts = build.store.folder
    held = dict.fromkeys(STEPS, 0)
    seen = set()  # a file may have two names
    for file in sorted(
        parts.rglob("*.parquet"), key=lambda file: not file.parts[len(parts.parts)].startswith("staged.")
    ):
        layer = file.parts[len(parts.parts)].split(".")[0]
        if layer != "reference" and file.stat().st_ino not in seen:
            seen.add(file.stat().st_ino)
            held[layer if layer in held else "cube"] += file.stat().st_size
    answers = sum(part.facts["rows"]["answer"] for s in build.inputs.sources.values() for _, part in build.accepted(s))
    wall = time.perf_counter() - began
    return {"answers": answers, "wall": wall, "cpu": cpu, "seconds": seconds, "begin": begin, "bytes": held}


def _cpu() -> float:
    """CPU seconds of this process and of those that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)))
