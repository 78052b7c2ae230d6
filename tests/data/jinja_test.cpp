#include "data/template/jinja/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/base/error.h"
#include "tests/support/errors.h"

namespace herd::jinja {
namespace {

using Json = nlohmann::ordered_json;
using herd::test::message_of;
using testing::AllOf;
using testing::HasSubstr;

const Json kVariables = Json::parse(R"({"s": "ab c", "n": 3, "l": [1, 2, 3], "d": {"k": "v", "items": 7}, "none": null, "messages":
  [{"role": "user", "content": " hi "}, {"role": "assistant", "content": "yo"}]})");

std::string rendered(const std::string& source) { return Program(source).render(kVariables); }
std::string complaint(const std::string& source) {
  return message_of<DataError>([&] { rendered(source); });
}

// What Python and jinja2 give for these is known; jinja_parity_test.py asks them for many more.
TEST(Jinja, Expressions) {
  EXPECT_EQ(rendered("{{ 1 + 2 * 3 - 4 // 3 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 3 ** 2 }}"), "6 -4 2 3.5 64");
  EXPECT_EQ(rendered("{{ 'a' ~ 1 ~ none ~ nothing ~ true }}"), "a1NoneTrue");
  EXPECT_EQ(rendered("{{ l[::-1] }}{{ l[1:] }}{{ s[-1] }}{{ s[:-2] }}{{ l[9] }}"), "[3, 2, 1][2, 3]cab");
  EXPECT_EQ(rendered("{{ d.k }}{{ d['items'] }}{{ d.items() | list }}{{ d.absent }}"), "v7[('k', 'v'), ('items', 7)]");
  EXPECT_EQ(rendered("{{ 1 < n <= 3 }}{{ 'b' in s }}{{ 'k' not in d }}{{ not l }}{{ 0 or 'x' }}{{ '' and 1 }}"), "TrueTrueFalseFalsex");
  EXPECT_EQ(rendered("{{ 'y' if n == 3 else 'z' }}{{ 'y' if n == 4 }}"), "y");
  EXPECT_EQ(rendered("{{ {'a': [1, 2.0, 'x\\n'], 'é': none} | tojson }}"), R"({"a": [1, 2.0, "x\n"], "é": null})");
  EXPECT_EQ(rendered("{{ {'a': [1], 'b': {}} | tojson(indent=2) }}"), "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}");
  EXPECT_EQ(rendered("{{ \"it's\" }}{{ [\"it's\", 'q\"'] }}"), "it's[\"it's\", 'q\"']");
  EXPECT_EQ(rendered("{{ messages | map(attribute='content') | join('|') }}"), " hi |yo");
  EXPECT_EQ(rendered("{{ messages | selectattr('role', 'equalto', 'user') | list | length }}"), "1");
  EXPECT_EQ(rendered("{{ ' x '.strip() }}{{ 'a b'.split() }}{{ 'a,b'.split(',')[-1] }}{{ 'hello wORLD' | title }}{{ 'x'.upper() }}"), "x['a', 'b']bHello WorldX");
}

TEST(Jinja, StatementsAndScopes) {
  EXPECT_EQ(rendered("{% for x in l if x != 2 %}{{ loop.index }}{{ x }}{{ ',' if not loop.last }}{% endfor %}"), "11,23");
  EXPECT_EQ(rendered("{% for x in [] %}a{% else %}none{% endfor %}"), "none");
  EXPECT_EQ(rendered("{% for x in l %}{{ x }}{% break %}{% else %}unended{% endfor %}{% for x in l %}{{ x }}{% else %}no{% endfor %}"), "1unended123");  // as in jinja2
  EXPECT_EQ(rendered("{% for x in l %}{% if x == 2 %}{% continue %}{% elif x == 3 %}{% break %}{% endif %}{{ x }}{% endfor %}"), "1");
  EXPECT_EQ(rendered("{% set x = 0 %}{% for y in l %}{% set x = y %}{% endfor %}{{ x }}"), "0");
  EXPECT_EQ(rendered("{% set ns = namespace(x=0) %}{% for y in l %}{% set ns.x = ns.x + y %}{% endfor %}{{ ns.x }}"), "6");
  EXPECT_EQ(rendered("{% macro m(a, b='!') %}<{{ a }}{{ b }}>{% endmacro %}{{ m(1) }}{{ m(b=2, a=s) }}{{ m() }}"), "<1!><ab c2><!>");
  EXPECT_EQ(rendered("{% set t | upper %}a{{ n }}{% endset %}{{ t }}"), "A3");
  EXPECT_EQ(rendered("{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}in{% endcall %}"), "[in]");
  EXPECT_EQ(rendered("{% generation %}{{ s }}{% endgeneration %}"), "ab c");
  // A condition is asked in its item's turn.
  EXPECT_EQ(rendered("{% set ns = namespace(done=false) %}{% for x in l if not ns.done %}{{ x }}{% set ns.done = x == 2 %}{% endfor %}"), "12");
}

TEST(Jinja, WhiteSpace) {
  EXPECT_EQ(rendered("a\n  {% if true %}\n  b\n  {% endif %}\nc\n"), "a\n  b\nc");
  EXPECT_EQ(rendered("a\n  {{- s -}}  \n b {#- c -#} \n d"), "aab cbd");
  EXPECT_EQ(rendered("a {% if true +%}\n{% endif %}"), "a \n");
  EXPECT_EQ(rendered("a\n  {%+ if true %}b{% endif %}\n\n\n"), "a\n  b\n");
  EXPECT_EQ(rendered("{% raw %}{{ x }}{% endraw %}"), "{{ x }}");
}

TEST(Jinja, NamesWhatItDoesNotKnow) {
  EXPECT_THAT(complaint("a\nb{% include 'x' %}"), AllOf(HasSubstr("line 2"), HasSubstr("{% include %}"), HasSubstr("configs/templates")));
  EXPECT_THAT(complaint("\n\n{{ s | wordwrap }}"), AllOf(HasSubstr("line 3"), HasSubstr("filter 'wordwrap'")));
  EXPECT_THAT(complaint("{{ s is escaped }}"), HasSubstr("test 'escaped'"));
  EXPECT_THAT(complaint("{{ s.zfill(3) }}"), HasSubstr(".zfill()"));
  EXPECT_THAT(complaint("{{ nothing.deep }}"), HasSubstr("'nothing', which is undefined"));
  EXPECT_THAT(complaint("{{ l.append(1) }}"), HasSubstr("'append', which is undefined"));
  EXPECT_THAT(complaint("{{ raise_exception('only users') }}"), HasSubstr("the template refuses the conversation: only users"));
  EXPECT_THAT(complaint("{% if true %}"), HasSubstr("a block without an end"));
  EXPECT_THAT(complaint("{{ 'a }}"), HasSubstr("a string without an end"));
  EXPECT_THAT(complaint("{{ 1 + }}"), HasSubstr("unexpected '}}'"));
  EXPECT_THAT(complaint("{% break %}"), HasSubstr("outside a loop"));
  EXPECT_THAT(complaint("{% set s.x = 1 %}"), HasSubstr("no namespace"));
}

TEST(Jinja, HostileTemplatesEnd) {
  EXPECT_THAT(complaint("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), HasSubstr("without an end"));
  EXPECT_THAT(complaint("{{ range(1000000000) | length }}"), HasSubstr("a range of more than"));
  EXPECT_THAT(complaint("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"), HasSubstr("more "));
  EXPECT_THAT(complaint("{{ 'x' * 9999999999 }}"), HasSubstr("more text"));
  EXPECT_THAT(complaint("{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}"), HasSubstr("more text"));
  EXPECT_THAT(complaint("{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}"), HasSubstr("deep"));
  EXPECT_THAT(complaint("{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x.copy] %}{% endfor %}"), HasSubstr("deep"));
  EXPECT_THAT(complaint("{% set ns = namespace(x=[1]) %}{% for i in range(9999) %}{% for y in ns.x %}{% set ns.x = [loop] %}{% endfor %}{% endfor %}"), HasSubstr("deep"));
  EXPECT_EQ(rendered("{% set ns = namespace() %}{% for i in range(50000) %}{% set other = namespace(next=ns.next) %}{% set ns.next = other %}{% endfor %}."), ".");
  EXPECT_EQ(rendered("{% set ns = namespace() %}{% set ns.ns = ns %}."), ".");
  const auto repeated = [](const std::string& text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += text;
    return out;
  };
  EXPECT_THAT(complaint("{{ " + repeated("(", 100'000) + "1" + repeated(")", 100'000) + " }}"), HasSubstr("deep"));
  EXPECT_THAT(complaint("{{ 1" + repeated(" + 1", 100'000) + " }}"), HasSubstr("levels"));
  EXPECT_THAT(complaint("{{ s" + repeated(" | trim", 100'000) + " }}"), HasSubstr("levels"));
  EXPECT_THAT(complaint(repeated("{% if 1 %}", 50'000)), HasSubstr("deep"));
  EXPECT_THAT(complaint("{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}"), HasSubstr("more "));
  Json deep = 1;
  for (int i = 0; i < 150; ++i) deep = Json::array({deep});
  EXPECT_THROW(Program("{{ x }}").render({{"x", deep}}), DataError);
}

}  // namespace
}  // namespace herd::jinja
