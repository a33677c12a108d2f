#!/usr/bin/env python3
"""Writes src/codecs/iq_codebooks_data.cpp from the codebook listings of the I types.

usage: make_codebooks.py TABLES_DIR > src/codecs/iq_codebooks_data.cpp

A listing holds hexadecimal words, first value in the lowest byte. Every codebook uses few
distinct values, so each word is written as one 16-bit number: the ranks of its values in the
list of levels, `bits` bits each, first value lowest. The C++ side expands them at compile time.
"""
import pathlib
import sys

# name, entries, values per entry, bits per value, levels
BOOKS = [
    ("Iq1", "iq1s_grid", 2048, 8, 2, (-1, 0, 1)),
    ("Iq2Xxs", "iq2xxs_grid", 256, 8, 2, (8, 25, 43)),
    ("Iq2Xs", "iq2xs_grid", 512, 8, 2, (8, 25, 43)),
    ("Iq2S", "iq2s_grid", 1024, 8, 2, (8, 25, 43)),
    ("Iq3Xxs", "iq3xxs_grid", 256, 4, 3, (4, 12, 20, 28, 36, 44, 52, 62)),
    ("Iq3S", "iq3s_grid", 512, 4, 3, (1, 3, 5, 7, 9, 11, 13, 15)),
]

HEAD = """\
// The codebooks of the I types. Written by tools/make_codebooks.py; do not edit.
//
// An entry is one 16-bit number: the ranks of its values among the codebook's levels, 2 bits
// each (8 values) or 3 bits each (4 values), first value lowest.
#include "codecs/iq_codebooks.h"

namespace pare {
namespace {

template <int kBits, size_t kValues, size_t kEntries, size_t kLevels>
constexpr Codebook<kEntries, kValues> expand(const uint16_t (&ranks)[kEntries],
                                             const int8_t (&levels)[kLevels]) {
  Codebook<kEntries, kValues> book{};
  for (size_t e = 0; e < kEntries; ++e) {
    for (size_t v = 0; v < kValues; ++v) {
      book[e][v] = levels[(ranks[e] >> (kBits * v)) & ((1 << kBits) - 1)];
    }
  }
  return book;
}
"""


def words(path):
    text = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return [int(word, 16) for word in " ".join(text).split()]


def main():
    tables = pathlib.Path(sys.argv[1])
    print(HEAD)
    for name, file, entries, values, bits, levels in BOOKS:
        book = words(tables / f"{file}.txt")
        assert len(book) == entries, (file, len(book))
        ranks = []
        for word in book:
            rank = 0
            for v in range(values):
                byte = word >> (8 * v) & 255
                rank |= levels.index(byte - 256 if byte > 127 else byte) << (bits * v)
            ranks.append(f"0x{rank:04x}")
        print(f"constexpr int8_t k{name}Levels[] = {{{', '.join(map(str, levels))}}};")
        print(f"constexpr uint16_t k{name}Ranks[{entries}] = {{")
        for i in range(0, entries, 12):
            print("    " + ", ".join(ranks[i:i + 12]) + ",")
        print("};\n")
    print("}  // namespace\n")
    print("// clang-format off")
    for name, _, entries, values, bits, _ in BOOKS:
        print(f"constexpr Codebook<{entries}, {values}> k{name}Book = "
              f"expand<{bits}, {values}>(k{name}Ranks, k{name}Levels);")
    print("// clang-format on\n\n}  // namespace pare")


main()
