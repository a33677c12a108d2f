#include "model/exec_native/kv_cache.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <new>
#include <string>

#include "codecs/codec.h"

namespace pare {
namespace {

// The first number of a small file of the system's, or `none`.
uint64_t number_in(const char* path, uint64_t none) {
  std::ifstream file(path);
  uint64_t value = 0;
  return file >> value ? value : none;
}

double gibibytes(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

}  // namespace

uint64_t available_memory() {
  constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();
  uint64_t available = kNoLimit;
  std::ifstream info("/proc/meminfo");
  std::string key, unit;
  for (uint64_t kilobytes; info >> key >> kilobytes;) {
    std::getline(info, unit);
    if (key == "MemAvailable:") available = kilobytes * 1024;
  }
  const uint64_t limit = number_in("/sys/fs/cgroup/memory.max", kNoLimit);
  const uint64_t used = number_in("/sys/fs/cgroup/memory.current", 0);
  if (limit != kNoLimit) available = std::min(available, limit - std::min(limit, used));
  return available;
}

Result<std::unique_ptr<KvCache>> KvCache::create(std::vector<Layer> layers, CodecId form,
                                                 int64_t capacity) {
  const Codec& of_form = codec(form);
  if (!is_kv_form(form)) {
    return unsupported("keys and values cannot be kept as {}; F32, F16, Q8_0 and Q4_0 can",
                       of_form.name);
  }
  if (capacity < 1 || capacity > (int64_t{1} << 31)) {
    return invalid_argument("a context of {} tokens is not possible", capacity);
  }
  std::unique_ptr<KvCache> cache(new KvCache());
  cache->form_ = form;
  cache->capacity_ = capacity;
  // In floating point first: the product may leave 64 bits.
  double wanted = 0;
  std::vector<uint64_t> sizes;
  for (const Layer& layer : layers) {
    if (!of_form.divides(layer.head_dim) || !of_form.divides(layer.value_dim)) {
      return unsupported(
          "keys and values as {} need heads that divide by {}; this model's have {} and {} columns",
          of_form.name, of_form.block_len, layer.head_dim, layer.value_dim);
    }
    Place place{layer, of_form.row_bytes(layer.head_dim), of_form.row_bytes(layer.value_dim)};
    const auto positions = static_cast<uint64_t>(layer.heads * cache->padded());
    wanted += static_cast<double>(positions) * static_cast<double>(place.key_row + place.value_row);
    cache->bytes_ += positions * (place.key_row + place.value_row);
    cache->places_.push_back(place);
  }
  const uint64_t available = available_memory();
  if (wanted > static_cast<double>(available)) {
    return invalid_argument(
        "a context of {} tokens needs {:.1f} GiB for keys and values as {}, and {:.1f} GiB of "
        "memory are free",
        capacity, wanted / (1 << 30), of_form.name, gibibytes(available));
  }
  // Not initialised: pages that no position reaches are never touched.
  cache->memory_.reset(new (std::nothrow) std::byte[std::max<uint64_t>(1, cache->bytes_)]);
  if (cache->memory_ == nullptr) {
    return invalid_argument("no memory for the keys and values of {} tokens ({:.1f} GiB)", capacity,
                            gibibytes(cache->bytes_));
  }
  std::byte* next = cache->memory_.get();
  for (Place& place : cache->places_) {
    const auto positions = static_cast<uint64_t>(place.layer.heads * cache->padded());
    place.keys = next;
    place.values = next + positions * place.key_row;
    next = place.values + positions * place.value_row;
  }
  return cache;
}

void KvCache::store(size_t layer, int64_t head, int64_t position, const float* key,
                    const float* value) {
  const Place& place = places_[layer];
  const int64_t tile = position / kKeyTile * kKeyTile;
  const auto row = [&](int64_t p) { return static_cast<uint64_t>(head * padded() + p); };
  store_key(form_, key, place.layer.head_dim, position - tile,
            place.keys + row(tile) * place.key_row);
  store_value(form_, value, place.layer.value_dim, place.values + row(position) * place.value_row);
}

KeyTiles KvCache::keys(size_t layer, int64_t head, int64_t begin) const {
  const Place& place = places_[layer];
  const auto row = static_cast<uint64_t>(head * padded() + begin);
  return {place.keys + row * place.key_row, kKeyTile * static_cast<int64_t>(place.key_row)};
}

ValueRows KvCache::values(size_t layer, int64_t head, int64_t begin) const {
  const Place& place = places_[layer];
  const auto row = static_cast<uint64_t>(head * padded() + begin);
  return {place.values + row * place.value_row, static_cast<int64_t>(place.value_row)};
}

void KvCache::load_keys(size_t layer, int64_t head, int64_t begin, int64_t count, float* out,
                        int64_t stride) const {
  const KeyTiles tiles = keys(layer, head, begin);
  const int64_t dim = places_[layer].layer.head_dim;
  for (int64_t i = 0; i < count; i += kKeyTile) {
    load_key_tile(form_, tiles.first + i / kKeyTile * tiles.tile_bytes, dim, out + i, stride);
  }
}

void KvCache::load_values(size_t layer, int64_t head, int64_t begin, int64_t count, float* out,
                          int64_t stride) const {
  const ValueRows rows = values(layer, head, begin);
  const int64_t dim = places_[layer].layer.value_dim;
  for (int64_t i = 0; i < count; ++i) {
    load_value_row(form_, rows.first + i * rows.row_bytes, dim, out + i * stride);
  }
}

}  // namespace pare
