"""What `import unbroken` adds to `import anthropic`, and what its plugin adds to pytest."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

_MEASURE = """
import time
import {before}
begun = time.process_time()
{statement}
print((time.process_time() - begun) * 1000)
"""

_CASES = {
    "import unbroken": ("anthropic", "import unbroken"),
    "from unbroken import wrap": ("anthropic", "from unbroken import wrap"),
    "the pytest plugin": ("pytest", "import unbroken.testing.pytest_plugin"),
}


def milliseconds(before: str, statement: str) -> float:
    """The processor time of a statement in a new process, after an import."""
    code = _MEASURE.format(before=before, statement=statement)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=15, help="processes for each row")
    count = parser.parse_args().n
    print(f"{'':28}{'median':>9}{'least':>9}  ms of processor time, {count} processes")
    for name, (before, statement) in _CASES.items():
        times = [milliseconds(before, statement) for _ in range(count)]
        print(f"{name:28}{statistics.median(times):9.1f}{min(times):9.1f}")


if __name__ == "__main__":
    main()
