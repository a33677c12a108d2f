#include "serve/generator.h"

#include <algorithm>
#include <chrono>

namespace pare {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int64_t size_of(const std::vector<int32_t>& tokens) { return static_cast<int64_t>(tokens.size()); }

size_t likeliest(std::span<const float> logits) {
  return static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

const char* finish_name(Finish finish) {
  switch (finish) {
    case Finish::kEnd:
      return "end";
    case Finish::kStopString:
      return "stop string";
    case Finish::kMaxTokens:
      return "max tokens";
    case Finish::kContextFull:
      return "context full";
    case Finish::kCancelled:
      return "cancelled";
  }
  return "end";
}

// One call of generate().
class Generator::Run {
 public:
  Run(Generator& generator, const GenerateOptions& options, const OnText& on_text, const Stop& stop)
      : g_(generator),
        options_(options),
        on_text_(on_text),
        stop_(stop),
        sampler_(options.sampler),
        stream_(options.stop) {}

  Result<Generated> run(std::span<const int32_t> prompt) {
    start_ = Clock::now();
    PARE_RETURN_IF_ERROR(take_prompt(prompt));
    bool going = options_.max_tokens != 0;
    if (!going) result_.finish = Finish::kMaxTokens;
    while (going) {
      PARE_ASSIGN_OR_RETURN(going, step());
    }
    if (listening_ && !stream_.stopped()) give(stream_.finish());
    if (!result_.tokens.empty()) result_.decode_seconds = seconds_since(first_token_);
    return std::move(result_);
  }

 private:
  // Sets the text so far to `prompt`, and rewinds the sessions to what they have in common.
  Status take_prompt(std::span<const int32_t> prompt) {
    if (prompt.empty()) return invalid_argument("text cannot be generated from an empty prompt");
    const int64_t capacity = g_.session_->capacity();
    if (static_cast<int64_t>(prompt.size()) >= capacity) {
      return invalid_argument("the prompt has {} tokens, which fills the context of {}",
                              prompt.size(), capacity);
    }
    const auto common =
        static_cast<int64_t>(std::ranges::mismatch(prompt, g_.tokens_).in1 - prompt.begin());
    // The last token is always run: its logits are needed.
    const int64_t keep = std::min(common, static_cast<int64_t>(prompt.size()) - 1);
    g_.session_->rewind(keep);
    if (g_.draft_ != nullptr) g_.draft_->rewind(keep);
    g_.tokens_.assign(prompt.begin(), prompt.end());
    result_.prompt_tokens = size_of(g_.tokens_);
    result_.reused_tokens = g_.session_->length();
    return {};
  }

  bool cancelled() {
    if (!stop_ || !stop_()) return false;
    result_.finish = Finish::kCancelled;
    return true;
  }

  // Runs what a session has not seen of the text but its last `but` tokens, in pieces. False:
  // cancelled.
  Result<bool> catch_up(Session& session, int64_t but) {
    const std::span<const int32_t> tokens = g_.tokens_;
    const int64_t end = size_of(g_.tokens_) - but;
    while (session.length() < end) {
      if (cancelled()) return false;
      const int64_t count = std::min(session.piece(), end - session.length());
      PARE_RETURN_IF_ERROR(session.forward(
          tokens.subspan(static_cast<size_t>(session.length()), static_cast<size_t>(count)), {}));
    }
    return true;
  }

  // Guesses what comes next with the small model.
  Status make_draft(std::vector<int32_t>* guesses) {
    guesses->clear();
    Session* draft = g_.draft_.get();
    if (draft == nullptr) return {};
    int64_t room = g_.session_->capacity() - size_of(g_.tokens_);
    room = std::min(room, draft->capacity() - size_of(g_.tokens_));
    if (options_.max_tokens >= 0) {
      room = std::min(room, options_.max_tokens - size_of(result_.tokens) - 1);
    }
    // They are checked together with the token before them, each as if it were alone.
    room = std::min(room, kAlikeTokens - 1);
    const int64_t count = std::min<int64_t>(room, std::min(draft_length_, options_.max_draft));
    if (count <= 0) return {};
    PARE_ASSIGN_OR_RETURN(const bool ready, catch_up(*draft, 1));
    if (!ready) return {};
    draft_logits_.resize(static_cast<size_t>(draft->model().vocabulary()));
    int32_t last = g_.tokens_.back();
    for (int64_t i = 0; i < count; ++i) {
      PARE_RETURN_IF_ERROR(draft->forward(std::span(&last, 1), draft_logits_));
      last = static_cast<int32_t>(likeliest(draft_logits_));
      guesses->push_back(last);
    }
    return {};
  }

  // Runs the last token and the draft after it, and takes tokens while draft and sampler agree.
  // False: the text has ended.
  Result<bool> step() {
    Session& session = *g_.session_;
    std::vector<int32_t> batch;
    PARE_RETURN_IF_ERROR(make_draft(&batch));
    PARE_ASSIGN_OR_RETURN(const bool ready, catch_up(session, 1));
    if (!ready || cancelled()) return false;
    const auto drafted = static_cast<int64_t>(batch.size());
    batch.insert(batch.begin(), g_.tokens_.back());
    const auto vocabulary = static_cast<size_t>(session.model().vocabulary());
    logits_.resize(batch.size() * vocabulary);
    PARE_RETURN_IF_ERROR(session.forward(batch, logits_));
    int64_t agreed = 0;
    bool going = true;
    for (size_t i = 0; going && i < batch.size(); ++i) {
      const auto logits = std::span(logits_).subspan(i * vocabulary, vocabulary);
      PARE_ASSIGN_OR_RETURN(const int32_t token, sampler_.pick(logits, g_.tokens_));
      going = take(token);
      if (i + 1 == batch.size() || token != batch[i + 1]) break;
      ++agreed;
    }
    result_.drafted += drafted;
    result_.accepted += agreed;
    // As many guesses as were right of late, and one more.
    if (drafted > 0) draft_length_ = static_cast<int>(agreed) + 1 + (agreed == drafted ? 1 : 0);
    // Rejected guesses leave both caches; the last token taken has not been run.
    session.rewind(size_of(g_.tokens_) - 1);
    if (g_.draft_ != nullptr) g_.draft_->rewind(size_of(g_.tokens_) - 1);
    return going;
  }

  // One more token of the text; false if it ends the text, or is the last that there is room for.
  bool take(int32_t token) {
    if (result_.tokens.empty()) {
      first_token_ = Clock::now();
      result_.prompt_seconds = std::chrono::duration<double>(first_token_ - start_).count();
    }
    if (g_.tokenizer_->is_end_of_generation(token) && !options_.ignore_end) {
      result_.finish = Finish::kEnd;
      return false;
    }
    g_.tokens_.push_back(token);
    result_.tokens.push_back(token);
    bool wanted = true;
    if (!g_.tokenizer_->is_control(token)) {
      wanted = give(stream_.add(g_.tokenizer_->token_to_piece(token)));
    }
    if (!wanted || stream_.stopped()) {
      result_.finish = wanted ? Finish::kStopString : Finish::kCancelled;
      return false;
    }
    if (options_.max_tokens >= 0 && size_of(result_.tokens) >= options_.max_tokens) {
      result_.finish = Finish::kMaxTokens;
      return false;
    }
    if (size_of(g_.tokens_) >= g_.session_->capacity()) {
      result_.finish = Finish::kContextFull;
      return false;
    }
    return true;
  }

  bool give(const std::string& text) {
    if (text.empty()) return true;
    result_.text += text;
    listening_ = !on_text_ || on_text_(text);
    return listening_;
  }

  Generator& g_;
  const GenerateOptions& options_;
  const OnText& on_text_;
  const Stop& stop_;
  Sampler sampler_;
  TextStream stream_;
  Generated result_;
  Clock::time_point start_, first_token_;
  std::vector<float> logits_, draft_logits_;
  int draft_length_ = 4;
  bool listening_ = true;  // on_text has not ended the text
};

Result<std::unique_ptr<Generator>> Generator::create(std::unique_ptr<Session> session,
                                                     std::shared_ptr<const Tokenizer> tokenizer,
                                                     std::unique_ptr<Session> draft) {
  if (draft != nullptr && draft->model().vocabulary() != session->model().vocabulary()) {
    return invalid_argument("{}: a vocabulary of {} cannot draft for {} with one of {}",
                            draft->model().model().path, draft->model().vocabulary(),
                            session->model().model().path, session->model().vocabulary());
  }
  std::unique_ptr<Generator> generator(new Generator());
  generator->session_ = std::move(session);
  generator->draft_ = std::move(draft);
  generator->tokenizer_ = std::move(tokenizer);
  return generator;
}

Result<Generated> Generator::generate(std::span<const int32_t> prompt,
                                      const GenerateOptions& options, const OnText& on_text,
                                      const Stop& stop) {
  PARE_RETURN_IF_ERROR(check_sampler_options(options.sampler));
  return Run(*this, options, on_text, stop).run(prompt);
}

}  // namespace pare
