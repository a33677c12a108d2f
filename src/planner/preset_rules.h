// The mixtures of the presets as data; presets.cpp applies them.
//
// For a tensor, the first rule whose four conditions all hold decides; no rule: the preset's
// base codec. Layers are counted as llama-quantize counts them (see presets.cpp).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>

#include "planner/presets.h"

namespace pare::preset_rules {

// Bit sets over the index in all_presets(), the roles, and the facts below.
using PresetSet = uint64_t;
using RoleSet = uint16_t;
using FactSet = uint16_t;

enum class Layers : uint8_t {
  kAll,
  kFirst2,
  kFirst4,
  kFirst16th,  // the first n / 16
  kFirst8th,   // the first n / 8
  kMiddle,     // all but the first and last n / 8
  kMore,       // the first and last n / 8 and every third between
};

// What a rule may ask of the model and the tensor.
enum Fact : FactSet {
  kGqa4 = 1 << 0,            // at least 4 query heads per kv head
  kGqa4OrExperts4 = 1 << 1,  // that, or at least 4 experts
  kExperts8 = 1 << 2,        // exactly 8 experts (Mixtral)
  kImatrix = 1 << 3,
  kNoImatrix = 1 << 4,
  kFalcon = 1 << 5,
  kNotFalcon = 1 << 6,
  kRowDoesNotDivide = 1 << 7,  // by the block of the preset's base codec
  kStack = 1 << 8,             // one tensor holds a matrix per expert
};

struct Rule {
  PresetSet presets;
  RoleSet roles;
  Layers layers;
  FactSet facts;                 // all of them must hold
  std::optional<CodecId> codec;  // nothing: the base codec
};

std::span<const Preset> preset_table();
std::span<const Rule> rule_table();
// The IQ1 and IQ2 presets. They count FFN tensors one by one even in models with experts, and
// have no exception for the 70B class.
PresetSet smallest_presets();
// Parts of names that mark a tensor as not worth quantizing.
std::span<const std::string_view> kept_name_parts();

}  // namespace pare::preset_rules
