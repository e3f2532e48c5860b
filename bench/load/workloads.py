"""The workloads of the comparison: what the generator sends, and what each cell of the table aims at."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Workload:
    """`goal` is the highest ratio to the floor's CPU time per request that is aimed at; None: there is no goal."""

    arguments: str
    goal: float | None = None
    value_bytes: int = 3
    keys: int = 100_000
    fill: bool = True
    # The goal is a ratio to the floor with a table.
    beside_table: bool = False

    @property
    def receives_large(self):
        return self.value_bytes >= 1024 and "set" in self.arguments

    @property
    def has_small_values(self):
        """Whether the floor's table can hold them, and knows the commands."""
        return self.value_bytes <= 32 and self.arguments.split()[1] in ("get", "set")


def _both(arguments, goal, **more):
    return {
        kind: Workload(f"--workload {kind} {arguments}", goal, **more)
        for kind in ("get", "set")
    }


def _named(suffix, by_kind):
    return {f"{kind}{suffix}": workload for kind, workload in by_kind.items()}


WORKLOADS = {
    **_named("-p1", _both("--connections 50", 1.05)),
    "get-c1000": Workload("--workload get --connections 1000", 1.05),
    "get-p16": Workload("--workload get --pipeline 16", 1.10),
    "set-p16": Workload("--workload set --pipeline 16", 1.15),
    "get-p64": Workload("--workload get --pipeline 64", 1.20),
    "set-p64": Workload("--workload set --pipeline 64", 1.25),
    "mget10": Workload("--workload mget", 1.15),
    "mset10": Workload("--workload mset", 1.15),
    "get-4k": Workload("--workload get", 1.05, value_bytes=4096, keys=16_000),
    "get-64k": Workload("--workload get", 1.02, value_bytes=65_536, keys=1_000),
    "set-64k": Workload("--workload set", 1.20, value_bytes=65_536, keys=1_000),
    "publish-50": Workload("--workload publish", 1.03, value_bytes=100, keys=1, fill=False),
    "get-idle-10k": Workload("--workload get --idle 10000", 1.05),
    "get-p16-5m": Workload("--workload get --pipeline 16", 1.08, keys=5_000_000, beside_table=True),
    "set-p16-5m": Workload("--workload set --pipeline 16", 1.08, keys=5_000_000, beside_table=True),
    "get-p64-5m": Workload("--workload get --pipeline 64", 1.12, keys=5_000_000, beside_table=True),
    "set-p64-5m": Workload("--workload set --pipeline 64", 1.12, keys=5_000_000, beside_table=True),
    "get-c1": Workload("--workload get --connections 1"),
}


def _grid():
    """Commands by pipeline and connections. Of PUBLISH one connection publishes, to 50 subscribers."""
    cells = {}
    for kind in ("get", "set", "mget", "mset"):
        for connections in (1, 50, 1000):
            for pipeline in (1, 16, 64):
                cells[f"{kind}-c{connections}-p{pipeline}"] = Workload(
                    f"--workload {kind} --connections {connections} --pipeline {pipeline}")
    for pipeline in (1, 16, 64):
        cells[f"publish-p{pipeline}"] = Workload(f"--workload publish --pipeline {pipeline}", value_bytes=100, keys=1, fill=False)
    return cells


# What is run unless something else is asked for: without what takes gigabytes or minutes to fill.
USUAL = [name for name in WORKLOADS if not name.endswith("-5m")]
GRID = _grid()
WORKLOADS |= GRID

# Names that stand for several.
GROUPS = {"usual": USUAL, "grid": list(GRID)}
