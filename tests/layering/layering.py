#!/usr/bin/env python3
"""Checks that rooms include only rooms that CMakeLists.txt allows them, directly or through others,
that libtorch stays in the rooms made for it, and that the public headers need neither it nor JSON.

The build says the same through its targets, but all rooms share one include path: a header of a
forbidden room would be found, and where it is all inline, would even link.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TORCH = re.compile(r"^(torch|ATen|c10|caffe2)/")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


@dataclasses.dataclass
class Room:
    folder: str
    rooms: list[str]
    torch: bool


def read_rooms(cmake: str) -> dict[str, Room]:
    rooms = {}
    for name, rest in re.findall(r"^\s*pare_room\((\w+)([^)]*)\)", cmake, re.MULTILINE):
        words, key, lists = rest.split(), None, {}
        for word in words:
            if word in ("FOLDER", "ROOMS", "USES", "EXCLUDE"):
                key = word
                lists[key] = []
            else:
                lists[key].append(word)
        rooms[name] = Room(lists.get("FOLDER", [name])[0], lists.get("ROOMS", []),
                           "pare_torch" in lists.get("USES", []))
    return rooms


def reach(rooms: dict[str, Room], name: str) -> set[str]:
    """The room itself and all that it uses, directly or not."""
    seen, todo = set(), [name]
    while todo:
        room = todo.pop()
        if room not in seen:
            seen.add(room)
            todo += rooms[room].rooms
    return seen


def room_of(rooms: dict[str, Room], path: str) -> str | None:
    """The room of a file below src/: that with the longest folder it lies in."""
    inside = [n for n, r in rooms.items() if path.startswith(r.folder + "/")]
    return max(inside, key=lambda n: len(rooms[n].folder), default=None)


def violations(root: pathlib.Path) -> list[str]:
    rooms = read_rooms((root / "CMakeLists.txt").read_text())
    found = []
    for file in sorted((root / "src").rglob("*")):
        if file.suffix not in (".h", ".cpp", ".cuh", ".cu"):
            continue
        path = file.relative_to(root / "src").as_posix()
        name = room_of(rooms, path)
        cli = path.startswith("cli/")
        if name is None and not cli:
            found.append(f"src/{path}: lies in no room of CMakeLists.txt")
            continue
        # The program stands above all rooms; only the part below cli/heavy is on libtorch's side.
        heavy = path.startswith("cli/heavy/")
        if cli:
            allowed = {n for n in rooms if heavy or not any(rooms[r].torch for r in reach(rooms, n))}
        else:
            allowed = reach(rooms, name)
        torch = heavy or (not cli and any(rooms[r].torch for r in allowed))
        for kind, header in INCLUDE.findall(file.read_text()):
            if kind == "<":
                if TORCH.match(header) and not torch:
                    found.append(f"src/{path}: includes <{header}>, outside libtorch's rooms")
                continue
            target = room_of(rooms, header)
            if target is None and header.startswith("cli/") and cli:
                continue
            if target is None and (root / "include" / header).exists():
                continue
            if target is None:
                found.append(f'src/{path}: includes "{header}", which lies in no room')
            elif target not in allowed:
                found.append(f'src/{path}: includes "{header}"; room {name or "cli"} may not use '
                             f"room {target}")
    for file in sorted((root / "include").rglob("*.h")):
        for _, header in INCLUDE.findall(file.read_text()):
            if TORCH.match(header) or header.startswith("nlohmann/"):
                found.append(f"{file.relative_to(root)}: includes <{header}>; public headers need "
                             "neither libtorch nor JSON")
            elif not (header.startswith("pare/") or "/" not in header):
                found.append(f"{file.relative_to(root)}: includes {header}; public headers include "
                             "only each other and the standard library")
    return found


class Layering(unittest.TestCase):
    def test_the_project(self):
        self.assertEqual(violations(ROOT), [])

    def test_rooms_have_no_cycle_and_exist(self):
        rooms = read_rooms((ROOT / "CMakeLists.txt").read_text())
        self.assertGreater(len(rooms), 5)
        for name, room in rooms.items():
            self.assertTrue((ROOT / "src" / room.folder).is_dir(), room.folder)
            for used in room.rooms:
                self.assertNotIn(name, reach(rooms, used), f"{name} and {used} use each other")

    def check(self, files: dict[str, str]) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            files = {"CMakeLists.txt": "pare_room(base)\npare_room(tensor ROOMS base)\n"
                                       "pare_room(model ROOMS tensor EXCLUDE exec)\n"
                                       "pare_room(exec FOLDER model/exec ROOMS model USES "
                                       "pare_torch)\n"} | files
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            return violations(root)

    def test_sees_what_is_wrong(self):
        for path, include in [("src/base/a.h", '"tensor/b.h"'),       # upwards
                              ("src/model/a.cpp", '"model/exec/b.h"'),  # into an excluded folder
                              ("src/model/a.cpp", "<torch/torch.h>"),
                              ("src/cli/a.cpp", "<ATen/ATen.h>"),
                              ("src/cli/a.cpp", '"model/exec/b.h"'),
                              ("src/loose/a.h", "<vector>"),            # no room
                              ("include/pare/a.h", "<nlohmann/json.hpp>"),
                              ("include/pare/a.h", '"base/status.h"')]:
            with self.subTest(path=path, include=include):
                self.assertEqual(len(self.check({path: f"#include {include}\n"})), 1)

    def test_accepts_what_is_right(self):
        self.assertEqual(self.check({"src/model/exec/a.cpp": '#include "base/b.h"\n'
                                                             "#include <torch/torch.h>\n",
                                     "src/cli/a.cpp": '#include "model/b.h"\n#include "cli/c.h"\n',
                                     "include/pare/a.h": "#include <string>\n"}), [])


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    import suite
    sys.exit(suite.run(Layering))
