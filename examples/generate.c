/* generate MODEL PROMPT: the same from C. */
#include <pare/pare_c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kMost = 512, kNew = 64 };

static int fail(void) {
  fprintf(stderr, "%s\n", pare_error());
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s MODEL PROMPT\n", argv[0]);
    return 2;
  }
  pare_model* model = pare_model_open(argv[1]);
  if (model == NULL) return fail();
  pare_session* session = pare_session_create(model, NULL);
  if (session == NULL) return fail();
  pare_sampler* sampler = pare_sampler_create(NULL);

  int32_t text[kMost + kNew];
  int64_t count = pare_encode(model, argv[2], strlen(argv[2]), text, kMost);
  if (count < 0) return fail();
  if (count > kMost || count >= pare_session_capacity(session)) {
    fprintf(stderr, "%lld tokens are too long a prompt\n", (long long)count);
    return 1;
  }
  const size_t vocabulary = (size_t)pare_model_vocabulary(model);
  float* logits = malloc(vocabulary * sizeof *logits);
  int64_t run = 0; /* tokens that the session has seen */
  for (int i = 0; i < kNew && count < pare_session_capacity(session); ++i) {
    if (pare_forward(session, text + run, (size_t)(count - run), logits) != 0) return fail();
    run = count;
    const int32_t next = pare_sample(sampler, logits, vocabulary, text, (size_t)count);
    if (next < 0) return fail();
    if (pare_model_is_end(model, next)) break;
    text[count++] = next;
  }
  char all[16 * (kMost + kNew)];
  const int64_t size = pare_decode(model, text, (size_t)count, all, sizeof all);
  if (size < 0) return fail();
  printf("%.*s\n", (int)(size < (int64_t)sizeof all ? size : (int64_t)sizeof all), all);
  free(logits);
  pare_sampler_destroy(sampler);
  pare_session_destroy(session);
  pare_model_close(model);
  return 0;
}
