"""Runs unittest classes inside ctest: prints the counts in the form that summary.py adds up, and
ends with 77 (ctest: skipped) when nothing could run."""

import sys
import unittest


def run(*cases: type[unittest.TestCase]) -> int:
    load = unittest.defaultTestLoader
    if len(sys.argv) > 1:  # names of tests, for working on one: "test_convert"
        names = [f"{case.__name__}.{arg}" for arg in sys.argv[1:] for case in cases
                 if hasattr(case, arg)]
        tests = load.loadTestsFromNames(names, sys.modules["__main__"])
    else:
        tests = unittest.TestSuite(load.loadTestsFromTestCase(case) for case in cases)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(tests)
    # A subtest that fails counts by itself; the test it belongs to then does not count as passed.
    bad_tests = {getattr(test, "test_case", test).id()
                 for test, _ in result.failures + result.errors}
    skipped = len(result.skipped)
    bad = len(result.failures) + len(result.errors)
    passed = max(0, result.testsRun - len(bad_tests) - skipped)
    for _, reason in result.skipped:
        print(f"SKIP: {reason}")
    print(f"RESULT {passed} {bad} {skipped}")
    if bad:
        return 1
    return 77 if passed == 0 else 0
