#!/usr/bin/env python3
"""Arguments that nobody meant: one line that names what is wrong, then where help is; exit code 2."""

import sys

from harness import Program


class WrongArguments(Program):
    def complains(self, *args, says: str):
        message = self.fails(*args, says=[says], code=2)
        self.assertEqual(message.count("\n"), 2, message)
        self.assertTrue(message.startswith("pare: "), message)
        verb = args[0] if len(args) > 1 else ""
        self.assertIn(f"Try: pare {verb}", message)

    def test_no_verb(self):
        self.complains(says="a verb is needed; the verbs are inspect, ")
        self.complains("squash", says="squash: no such verb; the verbs are inspect, ")
        self.complains("--nope", says="--nope: no such option")

    def test_what_is_missing(self):
        self.complains("run", "--temp", 1, says="MODEL is required")
        self.complains("quantize", "m", "--type", says="--type")

    def test_what_no_verb_takes(self):
        # Though --type is missing too: it may be what was mistyped.
        self.complains("quantize", "m", "--tipe", "Q4_0", says="--tipe: no such option")
        self.complains("inspect", "a", "b", says="b: one argument too many")

    def test_values_out_of_range(self):
        self.complains("bench", "m", "--threads", "many", says="--threads: ")


if __name__ == "__main__":
    import suite
    sys.exit(suite.run(WrongArguments))
