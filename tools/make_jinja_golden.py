#!/usr/bin/env python3
"""Writes tests/golden/jinja/cases.json: templates of our own and what Jinja makes of them, set up
as transformers does for chat templates.

    make_jinja_golden.py OUT.json [--shared DIR]

DIR/*/tokenizer_config.json with chat templates of others: of these only a hash of what they render
goes into the file, under "shared".

Needs jinja2 (3.1).
"""

import argparse
import json
import os

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

VARIABLES = {
    "messages": [
        {"role": "system", "content": "Be brief. "},
        {"role": "user", "content": "Hi\n there <b>\"\u00e9\"</b>"},
        {"role": "assistant", "content": "<think>\nhmm\n</think>\n\nHello",
         "tool_calls": [{"type": "function",
                         "function": {"name": "f",
                                      "arguments": {"a": 1, "b": [1.5, None, True], "c": "\u00fc\n"}}}]},
        {"role": "tool", "content": "42"},
        {"role": "user", "content": "bye"},
    ],
    "tools": [{"type": "function",
               "function": {"name": "g", "description": "x",
                            "parameters": {"type": "object", "properties": {"q": {"type": "string"}},
                                           "required": ["q"]}}}],
    "d": {"b": 2, "a": 1, "C": 3, "items": "shadow"}, "l": [3, 1, 2, 2], "s": "Hello World foo-bar",
    "n": None, "f": 1.0, "i": 7, "t": True, "u": "Stra\u00dfe \u00c9COLE \u01c6",
    "ll": ["b", "A", "c", "B"],
    "o": [{"n": "x", "v": 2, "k": True}, {"n": "y", "v": 1}, {"n": "z", "v": 3, "k": False}],
    "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True,
}

EXPRESSIONS = [
    '1+2*3-4|abs',
    '-3|abs',
    '7//2',
    '-7//2',
    '7%3',
    '-7%3',
    '7.5%2',
    '-7.5%2',
    '2**10',
    '2**-1',
    '7/2',
    '1e3',
    '1.5e-7',
    '1e16',
    '123456789012345.0',
    '0.1+0.2',
    '"a"~1~none~true~1.0',
    '"a"*3',
    '[1]*2',
    '1 == 1.0',
    '1 < 2 < 3',
    '3 > 2 > 2',
    '1 in l',
    '"x" not in s',
    '"b" in d',
    'not 1 == 2',
    't and n',
    'n or "z"',
    '1 if t else 2',
    '1 if n',
    's.upper()',
    's|upper',
    's|title',
    's.title()',
    '"hello-world it\'s (x) [y]"|title',
    '"hello-world it\'s"|capitalize',
    'u|upper',
    'u|lower',
    'u.lower()',
    'u|length',
    's[1:5]',
    's[::-1]',
    's[-3:]',
    'l[::2]',
    'l[::-1]',
    'l[-1]',
    'l[10]',
    's[0]',
    's.split()',
    's.split("o")',
    's.split("o",1)',
    '" a  b ".split()',
    '" a  b c".split(None,1)',
    's.rsplit("o",1)',
    '"a\\nb\\r\\nc".splitlines()',
    '"xxabxx".strip("x")',
    '"xxabxx".lstrip("x")',
    '"xxabxx".rstrip("x")',
    '"  a ".strip()|length',
    '" a "|trim ~ "|"',
    's.startswith("He")',
    's.endswith(("foo","bar"))',
    's.replace("o","0")',
    's.replace("o","0",1)',
    's|replace("o","0")',
    's|replace("o","0",1)',
    '"abc".replace("","-")',
    's.find("o")',
    's.rfind("o")',
    's.count("o")',
    '"123".isdigit()',
    '"".isdigit()',
    '"a{}b{}".format(1,"x")',
    '"{0}{1}{0} {a}".format(1,2,a=3)',
    '", ".join(["a","b"])',
    'l|join(",")',
    'o|join(",",attribute="n")',
    'l|first',
    'l|last',
    '[]|first',
    'l|length',
    'd|length',
    'n|default("x")',
    'zz|default("x")',
    '""|default("x",true)',
    'zz|d',
    'l|sort',
    'll|sort',
    'll|sort(case_sensitive=true)',
    'll|sort(reverse=true)',
    'o|sort(attribute="v")|map(attribute="n")|list',
    'l|unique|list',
    'll|unique|list',
    'l|reverse|list',
    's|reverse',
    'd|dictsort',
    'd|dictsort(reverse=true)',
    'd|dictsort(true)',
    'd|items|list',
    'd.items()|list',
    'd.keys()|list',
    'd.values()|list',
    'd.get("a")',
    'd.get("zz")',
    'd.get("zz",5)',
    'd["items"]',
    'd',
    'l',
    'o',
    'messages[2]',
    'messages[2].tool_calls|tojson',
    'messages[2]|tojson(indent=2)',
    'tools|tojson(indent=4)',
    '[]|tojson(indent=2)',
    '{}|tojson',
    '"é\\u2028<>&\'\\""|tojson',
    'd|tojson(sort_keys=true)',
    'd|tojson(separators=(",",":"))',
    '1.0|tojson',
    'o|selectattr("k")|list',
    'o|selectattr("k","defined")|list',
    'o|rejectattr("k","defined")|list',
    'o|selectattr("v","gt",1)|map(attribute="n")|join',
    'o|selectattr("n","equalto","x")|list|length',
    'o|selectattr("n","in",["x","z"])|map(attribute="n")|list',
    'o|map(attribute="k",default="D")|list',
    'll|map("upper")|list',
    'll|map("replace","A","Q")|list',
    'l|select("odd")|list',
    'l|reject("odd")|list',
    '[0,1,"",none,"a"]|select|list',
    'l|sum',
    'l|min',
    'l|max',
    'o|sum(attribute="v")',
    '"a\\nb\\n\\nc"|indent',
    '"a\\nb\\n\\nc"|indent(2,true)',
    '"a\\nb\\n\\nc"|indent(2,true,true)',
    '"a\\nb"|indent("> ")',
    '"12"|int',
    '"x"|int',
    '"x"|int(5)',
    '"12.7"|int',
    '12.7|int',
    '" 12 "|int',
    '"1.5"|float',
    '"x"|float',
    '1|float',
    '2.5|round',
    '3.5|round',
    '2.567|round(2)',
    '2.567|round(1,"floor")',
    '1|string + "a"',
    's|list|length',
    '"abc"|list',
    '{"a":1,"b":[1,2]}',
    '{"a":1}.a',
    '(1,2)',
    '(1,)',
    '()',
    '[1,2,]',
    '[(1,"a"),(2,"b")]',
    '"it\'s"',
    '["it\'s"]',
    '[\'say "hi"\']',
    '["both \' and \\""]',
    '["tab\\t nl\\n é \\x01"]',
    'none',
    'true',
    '[none,true,1.5]',
    'zz',
    'zz is defined',
    's is defined',
    'n is none',
    'n is not none',
    's is string',
    'd is mapping',
    'l is sequence',
    'l is iterable',
    'i is iterable',
    'i is number',
    't is number',
    't is boolean',
    'f is float',
    'i is integer',
    't is integer',
    't is true',
    '1 is true',
    'i is odd',
    'i is even',
    'i is divisibleby 7',
    'i is divisibleby(3)',
    '"a" is eq "a"',
    '"a" is equalto("a")',
    '"a" is ne "b"',
    '"a" is in ["a"]',
    '"a" is in "abc"',
    '3 is gt 2',
    '3 is lessthan 2',
    '"abc" is lower',
    '"ABC" is upper',
    'd is callable',
    'range is callable',
    'range(3)|list',
    'range(1,10,3)|list',
    'range(5,0,-2)|list',
    'dict(a=1,b=2)',
    'namespace(a=1).a',
    'zz == zz',
    'zz == 1',
    'not zz',
    '"a" "b"',
    "'\\u00e9\\x41\\n'",
    'l is defined and l|length > 2',
    'o[0].n',
    'o[0]["n"]',
    'o.0.n',
    'o[0].zz',
    '"%s" ~ 1',
    'd.zz is defined',
    'messages|length - 1',
    'messages[::-1]|map(attribute="role")|join(",")',
    '(messages|last).role',
    's|trim|upper|length',
    '"abc"|first',
    '"abc"|last',
    '"a,b"|replace(",",";")|upper',
    '1 + 1.0',
    '5 - 2.5',
    'true + 1',
    '"z" > "a"',
    '[1,2] < [1,3]',
    '[1,2] == [1,2]',
    '{"a":1} == {"a":1}',
    '1 if 0 else 2 if 0 else 3',
    's.removeprefix("Hello ")',
    's.removesuffix("bar")',
    '"ab".isalpha()',
    'i.zz',
    'n.zz',
    '"abc"[5]',
    '1_000',
    '"x".join("abc")',
    '[1,[2,[3]]]',
    'l.index(2)',
    'l.count(2)',
    '"a" in ["a","b"] and "c" not in ["a"]',
    'not (1 in l)',
    '2 not in l',
    '-1 ** 2',
    '2 ** 3 ** 2',
    '1 - 1 - 1',
    '"a" ~ "b" + "c"',
    '"ﬁ ß ŉ"|lower',
    '"x"|upper ~ "y"',
]

TEMPLATES = [
    '{% for m in messages %}{{ loop.index }}/{{ loop.length }}:{{ m.role }}{% if not loop.last %}, {% endif %}{% endfor %}',
    '{%- for m in messages -%}\n  {{ m.role }}\n{%- endfor -%}',
    "{% for m in messages %}\n  {% if m.role == 'user' %}\n    U: {{ m.content }}\n  {% elif m.role == 'tool' %}\n    T\n  {% else %}\n    O\n  {% endif %}\n{% endfor %}\nend\n",
    'a\n  {% set x = 1 %}  \n b {{ x }}\n\n',
    "{% set ns = namespace(n=0, s='') %}{% for i in range(5) %}{% if i == 3 %}{% break %}{% endif %}{% if i is odd %}{% continue %}{% endif %}{% set ns.n = ns.n + i %}{% set ns.s = ns.s ~ i %}{% endfor %}{{ ns.n }} {{ ns.s }}",
    '{% set x = 1 %}{% for i in [1,2] %}{% set x = x + i %}{{ x }};{% endfor %}{{ x }}',
    '{% if true %}{% set y = 5 %}{% endif %}{{ y }}',
    "{% macro f(a, b='B', c=none) %}[{{ a }}|{{ b }}|{{ c }}]{% endmacro %}{{ f(1) }}{{ f(1, c=2) }}{{ f('x', 'y', 'z') }}{{ f() }}",
    '{% macro r(n) %}{{ n }}{% if n > 0 %}{{ r(n-1) }}{% endif %}{% endmacro %}{{ r(5) }}',
    "{% set g = 'G' %}{% macro f() %}{{ g }}{{ i }}{% endmacro %}{% for i in [1] %}{{ f() }}{% endfor %}",
    '{% set b %}  <{{ s }}>\n{% endset %}[{{ b }}]{% set b | trim | upper %} x {% endset %}[{{ b }}]',
    '{% filter upper %}abc {{ s }}{% endfilter %}',
    '{% raw %}{{ x }} {% if %}{% endraw %}|',
    'a {# comment {{ x }} #} b {#- c -#} d',
    '{# c #}\nx\n  {# c #}\ny',
    '{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}',
    '{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}',
    '{% for k in d %}{{ k }}{% endfor %}',
    "{% for c in 'héy' %}{{ c }}.{% endfor %}",
    '{% for x in [] %}a{% else %}empty{% endfor %}{% for x in zz %}a{% else %}none{% endfor %}',
    "{% for m in messages if m.role != 'system' %}{{ loop.index0 }}{{ m.role }}{{ loop.first }}{{ loop.revindex }} {% else %}no{% endfor %}",
    '{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined }}>{{ loop.nextitem.role if not loop.last }};{% endfor %}',
    '{% for i in [1,2] %}{% for j in [1,2] %}{{ loop.index }}{{ loop.depth }}{% endfor %}{{ loop.index }}{{ loop.depth0 }}{% endfor %}',
    '{% for i in [1,2] %}{% set outer = loop %}{% for j in [1,2] %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}',
    '{% generation %}x{{ s }}{% endgeneration %}y',
    '{{- s -}}  \n  x {{ s }}\n y {{- s }}',
    '  {%+ if true %} x {%+ endif %}\n y',
    '{% if true +%}\n x{% endif %}\ny',
    '\n\n{% if true -%}\n\n  x\n\n{%- endif %}\n\n',
    'line1\r\nline2\r\n{{ 1 }}\r\n',
    '{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, e) = [3,4] %}{{ c }}{{ e }}',
    '{% set x = [1,2] + [3] %}{{ x }}{% set x = x + [x] %}{{ x }}',
    "{{ {'a': {'b': 1}}['a']['b'] }}{{ {'a': {'b': 2}}.a.b }}",
    "{% if messages[0].role == 'system' %}{% set sys = messages[0].content %}{% set rest = messages[1:] %}{% else %}{% set sys = '' %}{% set rest = messages %}{% endif %}{{ sys }}|{{ rest|length }}",
    "{{ bos_token }}{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ 'x' }}{% endif %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{% endif %}{{ message['content'].split('</think>')[-1].lstrip('\\n') }}{% endfor %}",
    "{% for i in range(3) %}{{ i }}{% if not loop.last %}{{ ', ' }}{% endif %}\n{% endfor %}",
    "{{ 'a' if messages is defined and messages else 'b' }}",
    "{{ [1,2,3]|map('string')|join('-') }}",
    "{{ messages | selectattr('role','equalto','user') | map(attribute='content') | list | last }}",
    "{%- macro render(p, d=0) %}{%- for k,v in p.items() %}{{ '  '*d ~ k }}:{% if v is mapping %}\n{{ render(v, d+1) }}{% else %}{{ v }}\n{% endif %}{%- endfor %}{% endmacro %}{{ render({'a':{'b':1,'c':{'d':2}},'e':3}) }}",
    '{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns.b is defined }}',
    '{% set ns = namespace(found=false) %}{% for m in messages %}{% if m.tool_calls %}{% set ns.found = true %}{% for t in m.tool_calls %}{{ t.function.name }}{{ t.function.arguments|tojson }}{% endfor %}{% endif %}{% endfor %}{{ ns.found }}',
    '{{ \'%\' }}{{ \'}}\' }}{{ "{%" }}',
    'x{{\n s\n}}y',
    '{% for i in range(2) %}\n{% if i %}\na\n{% endif %}\n{% endfor %}',
    '  {{ 1 }}  {% if true %}  x  {% endif %}  y',
    "{% set x = none %}{{ x }}|{{ x is none }}|{{ x or 'd' }}",
]

WRONG_EXPRESSIONS = [
    '10 - 2 ~ 3',
    'd|dictsort(by="value")',
    '1/0',
    'zz.a',
    'zz.a.b',
    'zz + 1',
    '1 + "a"',
    '"a" + none',
    'zz()',
    's.nomethod()',
    's|nofilter',
    's is notest',
    '[1]+(1,)',
    '1 < "a"',
    '"a" in 5',
    'l.append(1)',
    '{[1]:2}',
    '(1',
    '"abc',
    '1 +',
    'raise_exception("no!")',
    'range(1000000)',
    'd.update({})',
    's.__class__.__mro__',
    '{}.pop("a")',
]

WRONG_TEMPLATES = [
    '{% call(x) f() %}{% endcall %}',
    '{% if %}{% endif %}',
    '{% for %}{% endfor %}',
    '{% endif %}',
    '{% if true %}',
    '{{ 1',
    '{% unknown %}',
    '{% break %}',
    '{% for a,b in [1] %}{% endfor %}',
    '{% set x.y = 1 %}',
]

def fnv1a(text: str) -> str:
    value = 0xCBF29CE484222325
    for byte in text.encode("utf-8"):
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


class Generation(Extension):
    """{% generation %}: renders its body."""

    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    return env


def shared_cases(env, directory):
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name, "tokenizer_config.json")
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            template = json.load(file)["chat_template"]
        messages = VARIABLES["messages"]
        for prompt in (True, False):
            for tools in (None, VARIABLES["tools"]):
                for part in (messages, messages[1:2], messages[:2]):
                    variables = {"messages": part, "tools": tools, "add_generation_prompt": prompt,
                                 "bos_token": "<s>", "enable_thinking": prompt}
                    text = env.from_string(template).render(**variables)
                    yield {"model": name, "variables": variables, "length": len(text.encode()),
                           "fnv1a": fnv1a(text)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--shared")
    args = parser.parse_args()
    env = environment()
    templates = ["{{ " + e + " }}" for e in EXPRESSIONS] + TEMPLATES
    cases = [{"template": t, "text": env.from_string(t).render(**VARIABLES)} for t in templates]
    errors = ["{{ " + e + " }}" for e in WRONG_EXPRESSIONS] + WRONG_TEMPLATES
    for template in errors:
        try:
            env.from_string(template).render(**VARIABLES)
        except (jinja2.exceptions.TemplateError, TypeError, ZeroDivisionError, OverflowError,
                ValueError, SyntaxError):
            continue
        raise SystemExit(f"no error: {template}")
    shared = list(shared_cases(env, args.shared)) if args.shared else []
    with open(args.out, "w", encoding="utf-8") as file:
        json.dump({"variables": VARIABLES, "cases": cases, "errors": errors, "shared": shared}, file,
                  ensure_ascii=False, indent=1)
        file.write("\n")
    print(f"{len(cases)} cases, {len(errors)} errors, {len(shared)} of shared templates")


if __name__ == "__main__":
    main()
