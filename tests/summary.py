#!/usr/bin/env python3
"""Counts the tests in JUnit files of ctest; the exit code says whether all is well.

A script that runs several tests as one of ctest's prints how many on a line of its own
("RESULT passed failed skipped") and counts as that many. Skipped tests are named with their
reasons, failed ones with their names.
"""

import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter


def reason_of_skip(output: str) -> str:
    """GoogleTest prints what GTEST_SKIP was given after the place in the source."""
    found = re.search(r"Skipped\n(.+)", output) or re.search(r"SKIP: (.+)", output)
    return found.group(1).strip() if found else "no reason given"


def main() -> int:
    passed = failed = skipped = 0
    failures, reasons = [], Counter()
    for path in sys.argv[1:]:
        for case in ET.parse(path).getroot().iter("testcase"):
            output = case.findtext("system-out") or ""
            status, name = case.get("status"), case.get("name")
            counts = re.search(r"^RESULT (\d+) (\d+) (\d+)$", output, re.MULTILINE)
            if counts:
                good, bad, left = (int(n) for n in counts.groups())
                passed, failed, skipped = passed + good, failed + bad, skipped + left
                reasons.update(re.findall(r"^SKIP: (.+)$", output, re.MULTILINE))
                if bad or status == "fail":
                    failures.append(f"{name} ({path})")
                    failed += bad == 0
            elif status == "run":
                passed += 1
            elif status in ("notrun", "disabled"):
                skipped += 1
                reasons[reason_of_skip(output)] += 1
            else:
                failed += 1
                failures.append(f"{name} ({path})")
    for reason, count in reasons.most_common():
        print(f"skipped {count}: {reason}")
    for name in failures:
        print(f"FAILED {name}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
