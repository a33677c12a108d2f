#include "search/mixed_source.h"

namespace pare {
namespace {

class MixedSource final : public TensorSource {
 public:
  struct Entry {
    std::shared_ptr<const TensorSource> source;
    size_t index;
  };
  explicit MixedSource(std::vector<Entry> entries) : entries_(std::move(entries)) {
    for (const Entry& entry : entries_) infos_.push_back(entry.source->tensors()[entry.index]);
  }

  std::span<const TensorInfo> tensors() const override { return infos_; }
  Result<PackedTensor> read(size_t index) const override {
    return entries_[index].source->read(entries_[index].index);
  }
  void release(size_t index) const override {
    entries_[index].source->release(entries_[index].index);
  }

 private:
  std::vector<Entry> entries_;
  std::vector<TensorInfo> infos_;
};

}  // namespace

Result<std::shared_ptr<const Model>> mix_models(const Model& original,
                                                std::shared_ptr<const TensorSource> compressed,
                                                const std::vector<bool>& from_compressed) {
  std::vector<MixedSource::Entry> entries;
  const auto infos = original.tensors->tensors();
  for (size_t i = 0; i < infos.size(); ++i) {
    entries.push_back({original.tensors, i});
    if (!from_compressed[i]) continue;
    const int64_t found = compressed->find(infos[i].name);
    if (found < 0 || compressed->tensors()[static_cast<size_t>(found)].shape != infos[i].shape) {
      return invalid_argument("the compressed model has no {} of shape {}", infos[i].name,
                              infos[i].shape.to_string());
    }
    entries.back() = {compressed, static_cast<size_t>(found)};
  }
  auto mixed = std::make_shared<Model>(original);
  mixed->tensors = std::make_shared<MixedSource>(std::move(entries));
  return std::shared_ptr<const Model>(std::move(mixed));
}

}  // namespace pare
