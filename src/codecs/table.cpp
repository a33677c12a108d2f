// THE list of number formats, in the order of CodecId: one line each.
#include <array>

#include "codecs/codec.h"
#include "codecs/float_codecs.h"
#include "codecs/iq1_m.h"
#include "codecs/iq1_s.h"
#include "codecs/iq2_s.h"
#include "codecs/iq2_xs.h"
#include "codecs/iq2_xxs.h"
#include "codecs/iq3_s.h"
#include "codecs/iq3_xxs.h"
#include "codecs/iq4_nl.h"
#include "codecs/iq4_xs.h"
#include "codecs/mxfp4.h"
#include "codecs/nvfp4.h"
#include "codecs/q1_0.h"
#include "codecs/q2_0.h"
#include "codecs/q2_k.h"
#include "codecs/q3_k.h"
#include "codecs/q4_0.h"
#include "codecs/q4_1.h"
#include "codecs/q4_k.h"
#include "codecs/q5_0.h"
#include "codecs/q5_1.h"
#include "codecs/q5_k.h"
#include "codecs/q6_k.h"
#include "codecs/q8_0.h"
#include "codecs/q8_1.h"
#include "codecs/q8_k.h"
#include "codecs/tq1_0.h"
#include "codecs/tq2_0.h"

namespace pare {

std::span<const Codec> all_codecs() {
  // clang-format off
  static const std::array kTable = {
      f32_codec(),
      f16_codec(),
      bf16_codec(),
      f64_codec(),
      i8_codec(),
      i16_codec(),
      i32_codec(),
      i64_codec(),
      q4_0_codec(),
      q4_1_codec(),
      q5_0_codec(),
      q5_1_codec(),
      q8_0_codec(),
      q8_1_codec(),
      q2_k_codec(),
      q3_k_codec(),
      q4_k_codec(),
      q5_k_codec(),
      q6_k_codec(),
      q8_k_codec(),
      iq1_s_codec(),
      iq1_m_codec(),
      iq2_xxs_codec(),
      iq2_xs_codec(),
      iq2_s_codec(),
      iq3_xxs_codec(),
      iq3_s_codec(),
      iq4_nl_codec(),
      iq4_xs_codec(),
      tq1_0_codec(),
      tq2_0_codec(),
      mxfp4_codec(),
      nvfp4_codec(),
      q1_0_codec(),
      q2_0_codec(),
  };
  // clang-format on
  return kTable;
}

}  // namespace pare
