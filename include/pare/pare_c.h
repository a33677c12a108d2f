/* libpare_core from C, and from whatever can call C: open a model, tokenize, run, sample.
 *
 * Functions that can fail say so by their result (null, or a negative number); pare_error() then
 * has the message. Texts are UTF-8. Stable within a minor version. */
#ifndef PARE_PARE_C_H_
#define PARE_PARE_C_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

const char* pare_version(void); /* "0.1.0" */

/* What went wrong in the last call on this thread that failed; valid until the next one. */
const char* pare_error(void);

/* Immutable: any number of threads may use one. */
typedef struct pare_model pare_model;

/* A GGUF file, a Hugging Face directory or a llama2.c checkpoint. Null on failure. */
pare_model* pare_model_open(const char* path);
void pare_model_close(pare_model* model); /* null is allowed; sessions stay valid */
int64_t pare_model_vocabulary(const pare_model* model);
int64_t pare_model_context(const pare_model* model);
int pare_model_is_end(const pare_model* model, int32_t id); /* 1: the model ends a text with it */

typedef struct pare_message {
  const char *role, *content; /* "system", "user" or "assistant" */
} pare_message;

/* All write up to `capacity` elements and return how many there are in all, or -1. A text gets no
 * final zero. A chat is written by the model's template, up to where the next answer begins. */
int64_t pare_encode(const pare_model* model, const char* text, size_t size, int32_t* ids,
                    size_t capacity);
int64_t pare_encode_chat(const pare_model* model, const pare_message* messages, size_t count,
                         int32_t* ids, size_t capacity);
int64_t pare_decode(const pare_model* model, const int32_t* ids, size_t count, char* text,
                    size_t capacity);

typedef struct pare_session_options {
  int64_t context; /* positions; 0: as many as the model was made for, at most 4096 */
  const char* kv;  /* "F32", "F16", "Q8_0" or "Q4_0"; null: "F16" */
  int threads;     /* 0: one per processor */
} pare_session_options;

/* One text being run through a model. One thread at a time. */
typedef struct pare_session pare_session;

pare_session* pare_session_create(const pare_model* model, const pare_session_options* options);
void pare_session_destroy(pare_session* session);
/* Runs tokens after those so far. logits: room for pare_model_vocabulary() floats, the scores of
 * what may come next; or null. 0, or -1. */
int pare_forward(pare_session* session, const int32_t* ids, size_t count, float* logits);
int64_t pare_session_length(const pare_session* session);   /* tokens so far */
int64_t pare_session_capacity(const pare_session* session); /* tokens that there is room for */
void pare_rewind(pare_session* session, int64_t length); /* forgets what comes after */

typedef struct pare_sampling {
  float temperature;    /* 0: the likeliest token */
  int top_k;            /* 0: all */
  float top_p;          /* 1: all */
  float min_p;          /* 0: all */
  float repeat_penalty; /* 1: none */
  uint64_t seed;
} pare_sampling;

typedef struct pare_sampler pare_sampler;

pare_sampling pare_default_sampling(void);
/* Options that make no sense are said to be so by the first pare_sample(). */
pare_sampler* pare_sampler_create(const pare_sampling* options);
void pare_sampler_destroy(pare_sampler* sampler);
/* The next token, or -1. history: the text so far. */
int32_t pare_sample(pare_sampler* sampler, const float* logits, size_t vocabulary,
                    const int32_t* history, size_t count);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* PARE_PARE_C_H_ */
