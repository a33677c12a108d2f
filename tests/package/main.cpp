#include <pare/pare.h>

#include <cmath>
#include <cstdio>

// uses_pare MODEL TEXT: the model's architecture, its first tensor's norm, the text there and back.
int main(int argc, char** argv) {
  if (argc != 3) return 2;
  pare::api::Error error;
  const auto model = pare::api::Model::open(argv[1], &error);
  if (model == nullptr) {
    std::fprintf(stderr, "%s: %s\n", error.kind.c_str(), error.message.c_str());
    return 1;
  }
  std::vector<float> values;
  std::vector<int32_t> ids;
  std::string text;
  error = model->read(0, &values);
  if (!error) error = model->encode(argv[2], &ids);
  if (!error) error = model->decode(ids, &text);
  if (error) {
    std::fprintf(stderr, "%s: %s\n", error.kind.c_str(), error.message.c_str());
    return 1;
  }
  double sum = 0.0;
  for (float v : values) sum += static_cast<double>(v) * v;
  std::printf("%s\n%s %.6f\n%zu %s\n", model->architecture().c_str(),
              model->tensors()[0].name.c_str(), std::sqrt(sum), ids.size(), text.c_str());
}
