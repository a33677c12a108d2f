// Completion scripts, made by walking the program's own description of its options.
#include <fmt/format.h>

#include "cli/verb.h"

namespace pare::cli {
namespace {

struct Flag {
  std::string text;  // "--type"
  std::string summary;
  bool takes_value = false;
};

struct VerbFlags {
  std::string name, summary;
  std::vector<Flag> flags;
};

std::vector<Flag> flags_of(const CLI::App& app) {
  std::vector<Flag> flags;
  for (const CLI::Option* option : app.get_options()) {
    const bool takes_value = option->get_items_expected_max() > 0;
    for (const std::string& name : option->get_lnames()) {
      flags.push_back({"--" + name, option->get_description(), takes_value});
    }
    for (const std::string& name : option->get_snames()) {
      flags.push_back({"-" + name, option->get_description(), takes_value});
    }
  }
  return flags;
}

std::vector<VerbFlags> verbs_of(const CLI::App& app) {
  std::vector<VerbFlags> verbs;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    verbs.push_back({verb->get_name(), verb->get_description(), flags_of(*verb)});
  }
  return verbs;
}

// Inside single quotes of every shell: a quote ends, escapes itself and begins again.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string words(const std::vector<Flag>& flags) {
  std::string text;
  for (const Flag& flag : flags) text += (text.empty() ? "" : " ") + flag.text;
  return text;
}

std::string bash_script(const CLI::App& app, const std::vector<VerbFlags>& verbs) {
  std::string names, cases;
  for (const VerbFlags& verb : verbs) {
    names += (names.empty() ? "" : " ") + verb.name;
    cases += fmt::format("    {}) flags={} ;;\n", verb.name, quoted(words(verb.flags)));
  }
  return fmt::format(R"(# bash completion for pare
_pare() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} flags={}
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 && $word != -* ]]; then
    COMPREPLY=($(compgen -W '{}' -- "$word"))
    return
  fi
  case ${{COMP_WORDS[1]}} in
{}    completion) [[ $word == -* ]] || {{ COMPREPLY=($(compgen -W 'bash zsh fish' -- "$word")); return; }} ;;
  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
  else
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}}
complete -F _pare pare
)",
                     quoted(words(flags_of(app))), names, cases);
}

// _arguments takes "flag[summary]:message:action"; brackets and colons in a summary would end it.
std::string zsh_spec(const Flag& flag) {
  std::string summary;
  for (char c : flag.summary) {
    if (c == '[' || c == ']' || c == ':') summary += '\\';
    summary += c;
  }
  return quoted(
      fmt::format("{}[{}]{}", flag.text, summary, flag.takes_value ? ":value:_files" : ""));
}

std::string zsh_script(const std::vector<VerbFlags>& verbs) {
  std::string names, cases;
  for (const VerbFlags& verb : verbs) {
    names += fmt::format("    {}\n", quoted(verb.name + ":" + verb.summary));
    cases += fmt::format("      {})\n        _arguments", verb.name);
    for (const Flag& flag : verb.flags) cases += " \\\n          " + zsh_spec(flag);
    cases += verb.name == "completion" ? " \\\n          '1:shell:(bash zsh fish)' ;;\n"
                                       : " \\\n          '*:file:_files' ;;\n";
  }
  return fmt::format(R"(#compdef pare
_pare() {{
  local -a verbs=(
{}  )
  local state
  _arguments -C '--help[Print help]' '--version[Print the version]' '1: :->verb' '*:: :->rest'
  case $state in
    verb) _describe verb verbs ;;
    rest)
      case $words[1] in
{}      esac ;;
  esac
}}
compdef _pare pare
)",
                     names, cases);
}

std::string fish_script(const CLI::App& app, const std::vector<VerbFlags>& verbs) {
  const auto line = [](const std::string& condition, const Flag& flag) {
    const bool is_long = flag.text.rfind("--", 0) == 0;
    return fmt::format("complete -c pare -n {} {} {} {}-d {}\n", quoted(condition),
                       is_long ? "-l" : "-s", flag.text.substr(is_long ? 2 : 1),
                       flag.takes_value ? "-r -F " : "", quoted(flag.summary));
  };
  std::string text = "# fish completion for pare\n";
  for (const Flag& flag : flags_of(app)) text += line("__fish_use_subcommand", flag);
  for (const VerbFlags& verb : verbs) {
    text += fmt::format("complete -c pare -n __fish_use_subcommand -f -a {} -d {}\n", verb.name,
                        quoted(verb.summary));
    const std::string condition = "__fish_seen_subcommand_from " + verb.name;
    for (const Flag& flag : verb.flags) text += line(condition, flag);
  }
  return text +
         "complete -c pare -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'\n";
}

}  // namespace

Result<std::string> completion_script(const CLI::App& app, const std::string& shell) {
  const std::vector<VerbFlags> verbs = verbs_of(app);
  if (shell == "bash") return bash_script(app, verbs);
  if (shell == "zsh") return zsh_script(verbs);
  if (shell == "fish") return fish_script(app, verbs);
  return invalid_argument("there is no completion for \"{}\"; there is for bash, zsh and fish",
                          shell);
}

}  // namespace pare::cli
