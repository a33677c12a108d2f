// All architectures: a new one is a file of its own and a line here.
#include "model/arch/arch.h"
#include "model/arch/derive.h"

namespace pare {

extern const Architecture kLlama, kQwen2, kQwen3, kGemma2, kGemma3, kPhi3, kGpt2;

namespace {
constexpr const Architecture* kTable[] = {
    &kLlama, &kQwen2, &kQwen3, &kGemma2, &kGemma3, &kPhi3, &kGpt2,
};
}  // namespace

std::span<const Architecture* const> all_architectures() { return kTable; }

const Architecture* find_architecture(std::string_view gguf_name) {
  for (const Architecture* arch : kTable) {
    if (arch->name == gguf_name) return arch;
  }
  return nullptr;
}

const Architecture* find_architecture_by_hf_class(std::string_view class_name) {
  for (const Architecture* arch : kTable) {
    for (const char* known : arch->hf_classes) {
      if (known == class_name) return arch;
    }
  }
  return nullptr;
}

std::string architecture_names() {
  std::string names;
  for (const Architecture* arch : kTable) {
    if (!names.empty()) names += ", ";
    names += arch->name;
  }
  return names;
}

Result<ModelDesc> describe_model(const gguf::Metadata& metadata,
                                 std::span<const TensorInfo> tensors) {
  PARE_ASSIGN_OR_RETURN(const std::string name, metadata.get_string("general.architecture"));
  const Architecture* arch = find_architecture(name);
  if (arch == nullptr) {
    return unsupported("architecture \"{}\" is not one of: {}", name, architecture_names());
  }
  PARE_ASSIGN_OR_RETURN(ModelDesc desc, arch->describe({metadata, tensors}));
  PARE_ASSIGN_OR_RETURN(desc.name, metadata.get_string("general.name", ""));
  derive_sites_and_couplings(&desc);
  return desc;
}

Result<std::vector<int64_t>> check_tensors(const ModelDesc& desc,
                                           std::span<const TensorInfo> source,
                                           std::string_view file) {
  std::unordered_map<std::string_view, int64_t> by_name;
  for (size_t i = 0; i < source.size(); ++i) by_name[source[i].name] = static_cast<int64_t>(i);
  std::vector<int64_t> index;
  for (const TensorDesc& tensor : desc.tensors) {
    const auto found = by_name.find(tensor.name);
    if (found == by_name.end()) {
      if (!tensor.optional) {
        return not_found("{}: tensor {} is missing, expected {}", file, tensor.name,
                         tensor.shape.to_string());
      }
      index.push_back(-1);
      continue;
    }
    const TensorInfo& info = source[static_cast<size_t>(found->second)];
    if (info.shape != tensor.shape) {
      return corrupt("{}: tensor {} is {}, expected {}", file, tensor.name, info.shape.to_string(),
                     tensor.shape.to_string());
    }
    index.push_back(found->second);
    by_name.erase(found);
  }
  // One that nobody reads would be lost silently, or means that the model is not what it says.
  for (const TensorInfo& info : source) {
    if (by_name.contains(info.name)) {
      return unsupported("{}: tensor {} {} has no place in architecture {}", file, info.name,
                         info.shape.to_string(), desc.arch);
    }
  }
  return index;
}

}  // namespace pare
