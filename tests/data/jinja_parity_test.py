"""herd's Jinja against jinja2 as transformers compiles chat templates: templates in the styles of the hub's, and random ones."""

import json
import pathlib
import random
import subprocess
import sys
import warnings

from transformers.utils.chat_template_utils import _compile_jinja_template

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from chat_templates import CONVERSATIONS, IMPORTS, RECORDS, TEMPLATES, TOOLS  # noqa: E402

warnings.filterwarnings("ignore", category=SyntaxWarning)  # of Python about what jinja2 makes of random templates
REFUSED = ("a number past 64 bits", "a text % values")  # by herd, and said so in docs/chat-templates.md
QWEN2 = pathlib.Path(__file__).parents[3] / "shared/assets/tokenizers/qwen2/tokenizer_config.json"


class Probe:
    def __init__(self, binaries):
        self.process = subprocess.Popen([f"{binaries}/jinja_probe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        self.compared = self.refused = 0

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def render(self, template, variables):
        return self.ask(template=template, variables=variables)

    def compare(self, template, variables):
        """The same text, or an error on both sides."""
        ours = self.render(template, variables)
        try:
            theirs = {"text": _compile_jinja_template(template).render(**variables)}
        except Exception as error:  # noqa: BLE001: whatever jinja2 and Python raise
            theirs = {"error": f"{type(error).__name__}: {error}"}
        self.compared += 1
        self.refused += "error" in theirs
        if any(reason in ours.get("error", "") for reason in REFUSED):
            return
        same = "error" in ours and "error" in theirs or ours == theirs
        assert same, f"\ntemplate:  {template!r}\nvariables: {variables!r}\nours:   {ours}\njinja2: {theirs}"


def all_templates():
    templates = dict(TEMPLATES)
    if QWEN2.exists():
        templates["qwen2.5"] = json.loads(QWEN2.read_text())["chat_template"]
    return templates


def known_templates(probe):
    for template in all_templates().values():
        for messages in CONVERSATIONS:
            for prompt in (False, True):
                for tools in (None, TOOLS):
                    probe.compare(template, {"messages": messages, "tools": tools, "documents": None, "add_generation_prompt": prompt,
                                             "bos_token": "<s>", "eos_token": "</s>"})


ODD = ["", " ", "\n", "a", "A b", " x\ty\n", "it's", '"q"', "héllo", "ǆ ß ﬁ", "中文 字", "  lead", "a,b,,c", "\u2003wide\u3000", "x\r\ny", "1", " 42 ", "3.7", "-5", "1e3",
       "<think>t</think>a", "\\n", "\x00\x7f", "\ue000", "😀!", "Σας ΟΔΟΣ", "don't STOP-me (now)", "{'a': 1}", "\x1f", "nan"]


class Writer:
    """Random expressions and templates of what herd knows. Many are errors, in Python too."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def one(self, *choices):
        return self.random.choice(choices)

    def literal(self):
        r = self.random
        return self.one(lambda: str(r.randint(-3, 12)), lambda: self.one("0.5", "2.0", "-1.25", "1e20", "1e-7", "0.1", "1_000"), lambda: self.text(),
                        lambda: self.one("true", "false", "none", "True", "None"), lambda: self.name(), lambda: self.name())()

    def text(self):
        return json.dumps(self.random.choice(ODD), ensure_ascii=self.random.random() < 0.5).replace("\\ud83d\\ude00", "😀") if self.random.random() < 0.8 else "'\\x41\\101\\'\\q'"

    def name(self):
        return self.one("s", "t", "n", "f", "b", "l", "d", "m", "none_", "nothing", "messages", "deep")

    def expression(self, depth=0):
        if depth > 3 or self.random.random() < 0.12:
            return self.literal()
        e = lambda: self.expression(depth + 1)  # noqa: E731
        return self.one(
            lambda: f"({e()} {self.one('+', '-', '*', '/', '//', '%', '**', '~', '==', '!=', '<', '<=', '>', '>=', 'in', 'not in', 'and', 'or')} {e()})",
            lambda: f"{e()} {self.one('+', '~', '*', '==', 'and', 'or', '<')} {e()}",
            lambda: f"({e()} if {e()} else {e()})",
            lambda: f"({e()} if {e()})",
            lambda: f"(not {e()})",
            lambda: f"(-{e()})",
            lambda: f"[{', '.join(e() for _ in range(self.random.randint(0, 3)))}]",
            lambda: f"({e()}, {e()})",
            lambda: "{" + ", ".join(f"{self.text()}: {e()}" for _ in range(self.random.randint(0, 2))) + "}",
            lambda: f"({e()})[{self.one(e(), '0', '-1', self.text())}]",
            # Slices of constants that have none are undefined to jinja2's optimiser and an error to Python; herd takes Python's side.
            lambda: f"({self.one(self.name(), self.text(), '[' + e() + ', ' + e() + ']')})[{self.one('1:', ':-1', '::-1', '::2', '-2:', '5:1:-1', ':', '1:3', '-9:9')}]",
            lambda: f"({e()}).{self.one('role', 'content', 'k', 'nothing', '0')}",
            lambda: f"({e()}){self.method(e)}",
            lambda: f"({e()} | {self.filter(e)})",
            lambda: f"({e()} | {self.filter(e)})",
            lambda: f"({e()} is {self.one('', 'not ')}{self.test(e)})",
            lambda: f"range({self.one('3', '1, 9, 2', '5, 0, -2', e())}) | list",
            lambda: f"dict(a={e()})",
        )()

    def method(self, e):
        return self.one(".strip()", ".lstrip()", ".rstrip()", f".strip({self.text()})", ".split()", f".split({self.text()})", ".split(',', 1)", ".rsplit(',', 1)", ".split(none, 1)",
                        ".rsplit(none, 1)", ".splitlines()", ".splitlines(true)", f".startswith({self.text()})", f".endswith({self.text()})", ".upper()", ".lower()", ".title()",
                        ".capitalize()", f".replace({self.text()}, {self.text()})", ".replace('a', 'bb', 1)", f".find({self.text()})", f".rfind({self.text()})", f".count({self.text()})",
                        ".items() | list", ".keys() | list", ".values() | list", f".get({self.text()})", f".get('k', {e()})", ".append(1)", ".pop()", f".removeprefix({self.text()})",
                        f".removesuffix({self.text()})", ".isspace()", ".isupper()", f".index({e()})", ".foo()", ".copy()")

    def filter(self, e):
        return self.one("trim", f"trim({self.text()})", "length", "count", "upper", "lower", "title", "capitalize", "tojson", "tojson(indent=2)", "tojson(ensure_ascii=true)",
                        "tojson(separators=(',', ':'), sort_keys=true)", "tojson(indent=0)", f"join({self.text()})", "join", "join(', ', attribute='role')", "first", "last",
                        f"default({e()})", f"default({e()}, true)", f"replace({self.text()}, {self.text()})", "replace('a', 'b', 1)", "string", "int", "int(7)", "float", "list",
                        "map('upper') | list", "map(attribute='role') | list", "map(attribute='role', default='x') | list", "map('trim') | join", "select | list",
                        "select('string') | list", f"reject('equalto', {e()}) | list", "selectattr('role') | list", "selectattr('role', 'equalto', 'user') | list",
                        "rejectattr('content', 'in', ['a', 'A b']) | list", "selectattr('content', 'defined') | list | length", "items | list", "indent", "indent(2, true)",
                        "indent('> ', blank=true)", "abs", "reverse | list", "sort", "sort(reverse=true)", "sort(attribute='content')", "unique | list", "sum", "d('z')",
                        "map('length') | sum", "map('int') | list | tojson")

    def test(self, e):
        return self.one("defined", "undefined", "none", "string", "mapping", "iterable", "number", "integer", "float", "boolean", "true", "false", "sequence", f"equalto({e()})",
                        f"in({e()})", f"eq {self.literal()}", f"gt({e()})", f"lt {self.literal()}", "odd", "even", "divisibleby 3", "sameas true", "upper", "lower", "callable",
                        f"in {self.name()}")

    def space(self):
        return self.one("", "", " ", "\n", "\n  ", " \n", "x", "x\n", "\n\n", "\t", " é ", "\r\n", "\u2003")

    def tag(self, inside):
        signs = ("", "", "-", "+")
        return f"{{%{self.one(*signs)} {inside} {self.one(*signs)}%}}"

    def template(self, depth=0, in_loop=False):
        return "".join(self.space() + self.statement(depth, in_loop) for _ in range(self.random.randint(1, 3))) + self.space()

    def statement(self, depth, in_loop):
        t, body = self.tag, lambda loop=in_loop: self.template(depth + 1, loop)
        if depth > 2:
            return self.one(f"{{{{{self.one('', '-')} {self.expression(3)} {self.one('', '-')}}}}}", "{{ x }}", "{{ loop.index }}" if in_loop else "{{ y }}")
        simple = [
            lambda: f"{{{{{self.one('', '-')} {self.expression(2)} {self.one('', '-')}}}}}",
            lambda: f"{{#{self.one('', '-')} note {self.one('', '-')}#}}",
            lambda: t(f"if {self.expression(2)}") + body() + self.one("", t(f"elif {self.expression(2)}") + body()) + self.one("", t("else") + body()) + t("endif"),
            lambda: t(f"for x in {self.one('l', 'messages', 's', 'd', self.expression(2))}{self.one('', '', ' if x', ' if not ns.v')}") + body(True)
                    + self.one("", t("else") + body()) + t("endfor"),
            lambda: t("for x, y in d.items()") + body(True) + t("endfor"),
            lambda: t(f"set x = {self.expression(2)}"),
            lambda: t("set x, y = (1, 'z')"),
            lambda: t(f"set ns.v = {self.expression(2)}"),
            lambda: t(self.one("set x", "set x | upper", "set x | trim | title")) + body(False) + t("endset"),
            lambda: t("macro mac(x, y='d')") + body(False) + t("endmacro") + "{{ mac(1) }}{{ mac(y=s) }}",
            lambda: t("macro box(x)") + "[{{ caller() }}{{ x }}]" + t("endmacro") + t("call box(s)") + body(False) + t("endcall"),
            lambda: t("generation") + body(False) + t("endgeneration"),
            lambda: t("raw") + "{{ x }} {% if %}" + self.space() + t("endraw"),
            lambda: "{{ ns.v }}{{ x }}",
        ]
        looped = [lambda: "{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex0 }}{{ loop.depth }}", lambda: "{{ loop.previtem }}|{{ loop.nextitem }}",
                  lambda: "{{ loop.cycle('a', 'b') }}", lambda: t(f"if {self.expression(2)}") + t(self.one("break", "continue")) + t("endif")]
        return self.one(*simple, *(looped if in_loop else []))()


def variables(rng):
    odd = lambda: rng.choice(ODD)  # noqa: E731
    messages = [{"role": rng.choice(["user", "assistant", "system", "tool"]), "content": odd()} for _ in range(rng.randint(0, 4))]
    return {"s": odd(), "t": odd(), "n": rng.randint(-3, 9), "f": rng.choice([0.5, 2.0, -1e17, 1e-5]), "b": rng.random() < 0.5, "none_": None,
            "l": [rng.choice([1, 2, "a", odd(), None, 2.5, True]) for _ in range(rng.randint(0, 4))], "d": {"k": odd(), odd(): 1, "items": 2},
            "m": messages[0] if messages else {}, "messages": messages, "deep": {"role": [{"content": {"k": [1, {"é": odd()}]}}], "content": odd()}}


def random_templates(probe, count):
    for seed in range(count):
        writer = Writer(seed)
        values = variables(writer.random)
        probe.compare(f"{{{{ {writer.expression()} }}}}", values)
        probe.compare(f"{{% set ns = namespace(v=0) %}}{writer.template()}", values)


def messages_of(system, turns):
    """As chat_messages.h says it, told anew."""
    out, thought, calls = [{"role": "system", "content": system}] if system else [], None, []
    for role, text in turns:
        if role == "thought":
            thought = text
        elif role == "call":
            calls = [{"type": "function", "function": json.loads(text)}]
            out.append({"role": "assistant", "content": thought or "", "tool_calls": calls})
            thought = None
        elif role == "tool":
            out.append({"role": "tool", "name": calls[0]["function"]["name"], "content": text})
        else:
            out.append({"role": role, "content": text, **({"reasoning_content": thought} if thought else {})})
            thought = None
    return out


def imported_templates(probe):
    """A record's pieces joined are transformers' text, the prompt too, and the model writes what it is known to write."""
    count = 0
    for name, template in all_templates().items():
        compiled = _compile_jinja_template(template)
        tokens = {"bos": "" if "qwen" in name else "<s>", "eos": "<|im_end|>" if "qwen" in name else "</s>"}
        specials = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<start_of_turn>", "<|end|>", "<|assistant|>", "<|user|>", "<|system|>",
                    "<|start_header_id|>", "<|end_header_id|>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"]
        values = {"tools": None, "documents": None, "eos_token": tokens["eos"], **({"bos_token": tokens["bos"]} if tokens["bos"] else {})}
        for number, (system, turns) in enumerate(RECORDS):
            case = f"{name}, record {number}"
            ours = probe.ask(template=template, tokens={**tokens, "specials": specials}, system=system, turns=turns)
            expected = IMPORTS.get((name, number), IMPORTS.get((name, None)))
            if isinstance(expected, str) or "error" in ours:
                assert isinstance(expected, str) and expected in ours.get("error", ours.get("prompt_error", "")), (case, ours)
                continue
            theirs = compiled.render(messages=messages_of(system, turns), add_generation_prompt=False, **values)
            assert "".join(p[0] for p in ours["pieces"] if p[0] != "[eos]") == theirs, (case, ours, theirs)
            last = max(i for i, (role, _) in enumerate(turns) if role in ("user", "tool"))
            prompt = compiled.render(messages=messages_of(system, turns[:last + 1]), add_generation_prompt=True, **values)
            assert ours.get("prompt") == prompt, (case, ours, prompt)
            wrote = {}
            for text, own, written, turn in ours["pieces"]:
                if written:
                    wrote[turn] = wrote.get(turn, "") + text
                assert own or turn >= 0 or text.strip() == system.strip(), (case, text)
            models = {i: text for i, (role, text) in enumerate(turns) if role == "assistant" and text}
            before, end, trim = IMPORTS[name]
            for i, text in models.items():
                if turns[i - 1][0] == "thought":
                    assert wrote[i - 1] + wrote[i] == f"<think>\n{turns[i - 1][1]}\n</think>\n\n{text}{end}", (case, wrote)
                    continue
                # Some put less before an answer, or trim less of it, where it is not the last.
                assert wrote[i] == before + trim(text) + end or i <= last and wrote[i] == text + end, (case, wrote[i])
            assert set(wrote) == {i for i, (role, text) in enumerate(turns) if role in ("assistant", "call", "thought") and text}, (case, wrote)
            for i, (role, text) in enumerate(turns):
                if role == "call":
                    assert json.loads(text)["name"] in wrote[i] and wrote[i].endswith(end), (case, wrote[i])
            count += 1
    return count


def main():
    probe = Probe(sys.argv[1])
    known_templates(probe)
    known = probe.compared
    random_templates(probe, int(sys.argv[2]) if len(sys.argv) > 2 else 1500)
    told = probe.compared - probe.refused
    imports = imported_templates(probe)
    print(f"{imports} records through imported templates; {known} renderings of known templates, {probe.compared - known} of random ones; {probe.refused} errors on both sides")
    assert told > 1000 and imports > 40, (told, imports)


main()
