// Templates against what Jinja itself makes of them (tools/make_jinja_golden.py), and the bounds.
#include "model/tokenizer/jinja.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "formats/json.h"
#include "model/tokenizer/chat_template.h"

namespace pare::jinja {
namespace {

using Json = nlohmann::ordered_json;

Json golden() {
  const auto text = read_text(std::string(PARE_SOURCE_DIR) + "/tests/golden/jinja/cases.json");
  return Json::parse(text.value());
}

Result<std::string> render(const std::string& source, const Json& variables = Json::object(),
                           const Limits& limits = {}) {
  PARE_ASSIGN_OR_RETURN(const Template parsed, Template::parse(source));
  return parsed.render(variables, limits);
}

TEST(JinjaGolden, RendersWhatJinjaRenders) {
  const Json all = golden();
  ASSERT_GT(all["cases"].size(), 250u);
  for (const Json& item : all["cases"]) {
    const auto source = item["template"].get<std::string>();
    const auto text = render(source, all["variables"]);
    ASSERT_TRUE(text.ok()) << source << "\n" << text.status().message();
    EXPECT_EQ(*text, item["text"].get<std::string>()) << source;
  }
}

TEST(JinjaGolden, RefusesWhatJinjaRefuses) {
  const Json all = golden();
  ASSERT_GT(all["errors"].size(), 20u);
  for (const Json& source : all["errors"]) {
    EXPECT_FALSE(render(source.get<std::string>(), all["variables"]).ok()) << source;
  }
}

std::string fnv1a(const std::string& text) {
  uint64_t value = 0xcbf29ce484222325u;
  for (char c : text) value = (value ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return fmt::format("{:016x}", value);
}

TEST(JinjaGolden, TemplatesOfModels) {
  const std::string shared = std::string(PARE_SOURCE_DIR) + "/../shared/data/tokenizers";
  if (!directory_exists(shared)) GTEST_SKIP() << "no ../shared/data/tokenizers";
  const Json all = golden();
  ASSERT_GT(all["shared"].size(), 10u);
  for (const Json& item : all["shared"]) {
    const auto config =
        read_json(shared + "/" + item["model"].get<std::string>() + "/tokenizer_config.json");
    ASSERT_TRUE(config.ok()) << config.status().message();
    const auto text = render((*config)["chat_template"].get<std::string>(), item["variables"]);
    ASSERT_TRUE(text.ok()) << text.status().message();
    EXPECT_EQ(text->size(), item["length"].get<size_t>()) << *text;
    EXPECT_EQ(fnv1a(*text), item["fnv1a"].get<std::string>()) << *text;
  }
}

TEST(Jinja, RaisedExceptionsCarryTheirMessage) {
  const auto text = render("\n{{ raise_exception('roles must alternate') }}");
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(text.status().message().find("line 2: roles must alternate"), std::string::npos)
      << text.status().message();
}

TEST(Jinja, ErrorsNameTheLine) {
  const auto text = render("a\nb\n{{ missing.name }}");
  ASSERT_FALSE(text.ok());
  EXPECT_NE(text.status().message().find("line 3"), std::string::npos) << text.status().message();
}

TEST(Jinja, StrftimeNowGivesTheYear) {
  const auto text = render("{{ strftime_now('%Y') }}");
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text->size(), 4u);
  EXPECT_GE(*text, "2024");
}

// What a hostile template could do to us; each must end, and end in an error.
TEST(JinjaBounds, HostileTemplatesEndInErrors) {
  const std::string loops =
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
  const std::string doubling =
      "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}"
      "{% endfor %}";
  const std::string nesting =
      "{% set ns = namespace(l=[]) %}{% for i in range(90000) %}{% set ns.l = [ns.l] %}"
      "{% endfor %}";
  const std::string cycle = "{% set ns = namespace() %}{% set ns.a = [ns] %}";
  const std::string recursion = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}";
  const std::string parentheses =
      "{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}";
  const std::string brackets = "{{ " + std::string(5000, '[') + std::string(5000, ']') + " }}";
  std::string nots = "{{ ";
  for (int i = 0; i < 5000; ++i) nots += "not ";
  std::string sum = "{{ 1";
  for (int i = 0; i < 100'000; ++i) sum += " + 1";
  std::string attributes = "{{ a";
  for (int i = 0; i < 100'000; ++i) attributes += ".b";
  std::string blocks;
  for (int i = 0; i < 5000; ++i) blocks += "{% if true %}";
  const std::string repeat = "{{ 'a' * 99999999999 }}";
  const std::string expand = "{{ ('a' * 9000000)|replace('', 'bbbbbbbbbbbbbbbbbbb') }}";
  for (const std::string& source :
       {loops, doubling, nesting, cycle, recursion, parentheses, brackets, nots + "1 }}",
        sum + " }}", attributes + " }}", blocks, repeat, expand}) {
    EXPECT_FALSE(render(source).ok()) << source.substr(0, 100);
  }
}

TEST(JinjaBounds, OutputAndStepsAreLimited) {
  const std::string source = "{% for i in range(1000) %}0123456789{% endfor %}";
  EXPECT_TRUE(render(source, {}, {.output = 10'000}).ok());
  EXPECT_FALSE(render(source, {}, {.output = 9'999}).ok());
  EXPECT_FALSE(render(source, {}, {.steps = 1'000}).ok());
}

TEST(JinjaBounds, UnsupportedTagsSayTheirNames) {
  for (const char* tag : {"include", "import", "extends", "block", "call"}) {
    const auto text = render(fmt::format("{{% {} 'x' %}}", tag));
    ASSERT_FALSE(text.ok());
    EXPECT_EQ(text.status().code(), StatusCode::kUnsupported);
    EXPECT_NE(text.status().message().find(tag), std::string::npos);
  }
}

// ChatML, written anew: what many models use.
constexpr char kChatMl[] =
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + "
    "'<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' "
    "}}{% endif %}";

TEST(ChatTemplate, RendersMessages) {
  const auto chat = ChatTemplate::parse(kChatMl, "", "<|im_end|>");
  ASSERT_TRUE(chat.ok()) << chat.status().message();
  const Json messages = {{{"role", "system"}, {"content", "Short."}},
                         {{"role", "user"}, {"content", "Hi"}}};
  const auto text = chat->render(messages, {.add_generation_prompt = true});
  ASSERT_TRUE(text.ok()) << text.status().message();
  EXPECT_EQ(*text,
            "<|im_start|>system\nShort.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\n");
  EXPECT_FALSE(chat->render(Json("text")).ok());
}

TEST(ChatTemplate, GivesTokensToolsAndExtraVariables) {
  const auto chat = ChatTemplate::parse(
      "{{ bos_token }}{{ eos_token is defined }}{{ tools[0].name }}{{ mood }}", "<s>", "");
  ASSERT_TRUE(chat.ok());
  const Json tools = Json::array({{{"name", "search"}}});
  const auto text = chat->render(Json::array(), {.tools = tools, .extra = {{"mood", "calm"}}});
  ASSERT_TRUE(text.ok()) << text.status().message();
  EXPECT_EQ(*text, "<s>Falsesearchcalm");
}

}  // namespace
}  // namespace pare::jinja
