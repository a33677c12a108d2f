// What the two ternary formats share: how their scale is searched.
#pragma once

#include "codecs/uniform.h"

namespace pare {

// Chosen greedily for the least error beside a dense search, over normal, Laplace and Student
// rows with and without importance; without refits they stay within 0.1 % of it.
inline constexpr Candidates kTernaryCandidates = {
    .scale = {1.4f, 1.9f, 2.15f, 2.3f, 2.4f, 2.55f, 2.7f, 2.9f, 3.05f, 3.25f, 3.45f, 3.85f, 4.35f,
              4.9f, 6.15f, 9.25f},
    .shift = {},
};

}  // namespace pare
