// generate MODEL PROMPT: goes on with a text, in the fewest lines.
#include <pare/pare.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s MODEL PROMPT\n", argv[0]);
    return 2;
  }
  pare::api::Error error;
  const auto fail = [&error] {
    std::fprintf(stderr, "%s: %s\n", error.kind.c_str(), error.message.c_str());
    return 1;
  };
  const auto model = pare::api::Model::open(argv[1], &error);
  if (!model) return fail();
  const auto session = pare::api::Session::create(*model, {}, &error);
  if (!session) return fail();

  std::vector<int32_t> text;
  if ((error = model->encode(argv[2], &text))) return fail();
  std::vector<int32_t> next = text;  // not run yet
  std::vector<float> logits;
  pare::api::Sampler sampler({.temperature = 0.7f});
  for (int i = 0; i < 64 && session->length() + 1 < session->capacity(); ++i) {
    if ((error = session->forward(next, &logits))) return fail();
    next.resize(1);
    if ((error = sampler.pick(logits, text, &next[0]))) return fail();
    if (model->is_end(next[0])) break;
    text.push_back(next[0]);
  }
  std::string all;
  if ((error = model->decode(text, &all))) return fail();
  std::printf("%s\n", all.c_str());
}
