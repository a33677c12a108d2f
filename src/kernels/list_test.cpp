#include "kernels/list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "codecs/codec.h"

namespace pare {
namespace {

TEST(KernelList, EveryLevelMultipliesEveryWeight) {
  for (CpuLevel level : cpu_levels()) {
    for (const Codec& c : all_codecs()) {
      const Kernel kernel = select_kernel(level, c.id);
      const bool is_weight = c.is_float() || c.grid != nullptr;
      EXPECT_EQ(kernel.core != nullptr, is_weight) << c.name;
      EXPECT_EQ(kernel.unpacker != nullptr, c.grid != nullptr) << c.name;
      EXPECT_EQ(describe_kernel(level, c.id) == "none", !is_weight) << c.name;
    }
  }
}

// What a panel's sums may rely on.
TEST(KernelList, FormsAreWhatCoresMultiply) {
  for (CpuLevel level : cpu_levels()) {
    for (const Codec& c : all_codecs()) {
      const Unpacker* u = find_unpacker(level, c.id);
      if (u == nullptr) continue;
      EXPECT_TRUE(u->form.scale_len == 16 || u->form.scale_len == 32) << c.name;
      EXPECT_TRUE(std::set({0, 16, 32}).contains(u->form.offset_len)) << c.name;
      EXPECT_FALSE(u->form.scale_len == 16 && u->form.offset_len == 32) << c.name;
      // AVX2 begins no sum at a zero where there are offsets, but for the plain unpackers' form.
      EXPECT_TRUE(u->form.offset_len == 0 || u->form.zero == 0 || u->form.scale_len == 16)
          << c.name;
      EXPECT_LE(u->form.max_level, 255) << c.name;
      EXPECT_LE(u->form.zero, u->form.max_level) << c.name;
      EXPECT_EQ(kPieceColumns % c.block_len, 0) << c.name;
    }
  }
}

TEST(CpuLevels, EndWithThePlainOneAndAreNamed) {
  ASSERT_FALSE(cpu_levels().empty());
  EXPECT_EQ(cpu_levels().back(), CpuLevel::kRef);
  std::set<std::string_view> names;
  for (CpuLevel level : cpu_levels()) names.insert(cpu_level_name(level));
  EXPECT_EQ(names.size(), cpu_levels().size());
  EXPECT_TRUE(std::count(cpu_levels().begin(), cpu_levels().end(), cpu_level()) == 1);
}

// What PARE_CPU names is what runs: a level that is not there would be tested by none of the loops
// over levels.
TEST(CpuLevels, TheWantedOneIsChosen) {
  const char* wanted = std::getenv("PARE_CPU");
  const CpuLevel expected = cpu_levels().front();
  EXPECT_STREQ(cpu_level_name(cpu_level()), wanted == nullptr ? cpu_level_name(expected) : wanted);
}

}  // namespace
}  // namespace pare
