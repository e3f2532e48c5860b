#!/usr/bin/env bash
# What would break: a comparison that does not run, measures nothing, or draws nothing. One short round of two workloads,
# and of one axis.
set -euo pipefail
export ORRERY_SERVER="$PWD/server/server" ORRERY_FLOOR="$PWD/bench/load/floor" ORRERY_GENERATOR="$PWD/bench/load/generator"
export PYTHONPATH="$PWD/bench"
python3 bench/load/compare.py --workloads=get-p64,mset10 --rounds=1 --seconds=0.1 --busy --no-peers \
  --json="$TEST_TMPDIR/figures.json" --svg="$TEST_TMPDIR/picture.svg"
python3 - "$TEST_TMPDIR" <<'END'
import json, sys
from xml.dom import minidom
workloads = json.load(open(sys.argv[1] + "/figures.json"))["workloads"]
assert set(workloads["get-p64"]["servers"]) == {"floor", "floor+table", "orrery"}, workloads["get-p64"]["servers"].keys()
assert set(workloads["mset10"]["servers"]) == {"floor", "orrery"}
for cell in workloads.values():
    for name, figures in cell["servers"].items():
        assert figures["requests"]["median"] > 0, name
        assert figures["server_us"]["median"] > 0, name
    assert cell["servers"]["floor"]["to_floor"]["median"] == 1.0
bars = minidom.parse(sys.argv[1] + "/picture.svg").getElementsByTagName("rect")
assert len(bars) >= 5, len(bars)
END

python3 bench/load/curves.py --axes=shards-p16 --rounds=1 --seconds=0.05 --busy --json="$TEST_TMPDIR/curves.json" \
  --svg="$TEST_TMPDIR/curves.svg"
python3 - "$TEST_TMPDIR" <<'END'
import json, sys
from xml.dom import minidom
points = json.load(open(sys.argv[1] + "/curves.json"))["shards-p16"]["points"]
assert list(points) == ["1", "2", "4", "8"], points
assert all(point["orrery"] > 0 and point["floor"] > 0 for point in points.values()), points
lines = minidom.parse(sys.argv[1] + "/curves.svg").getElementsByTagName("polyline")
assert len(lines) == len(points["1"]), len(lines)
END
