"""herd data format table and airoboros against the specification done anew in Python: over fixtures of ours with every quirk it names, whose expected
files are checked on the way."""

import html
import itertools
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from herd_paths import BINARIES, ROOT

HERD = str(BINARIES / "herd")
FIXTURES = ROOT / "tests/data/fixtures/format"


def cell_text(cell):
    if isinstance(cell, dict):
        return cell_text(cell.get("text"))
    return "" if cell is None else cell if isinstance(cell, str) else json.dumps(cell)


def spans(cell):
    return {name: cell[name] for name in ("rowspan", "colspan") if isinstance(cell, dict) and (cell.get(name) or 1) > 1}


def header_rows(table):
    header = table.get("header") or []
    return header if not header or isinstance(header[0], list) else [header]


def markdown(header, rows):
    def line(cells):
        return "| " + " | ".join(cell_text(cell).translate({ord("|"): "\\|", ord("\\"): "\\\\", ord("\n"): "<br>"}) for cell in cells) + " |"
    width = len(rows[0])
    return "\n".join(map(line, [header[0] if header else [""] * width, ["---"] * width, *rows]))


def html_table(header, rows):
    def element(tag, cell):
        attributes = "".join(f' {name}="{size}"' for name, size in spans(cell).items())
        return f"<{tag}{attributes}>{html.escape(cell_text(cell), quote=False)}</{tag}>".replace("\n", "<br>")
    lines = ["".join(element(tag, cell) for cell in row) for tag, part in (("th", header), ("td", rows)) for row in part]
    return "\n".join(["<table>", *(f"<tr>{line}</tr>" for line in lines), "</table>"])


def table(record, number):
    """TabularLLM's input, Markdown unless cells are merged; several header rows are beyond Markdown as well."""
    header, rows = header_rows(record), record["rows"]
    merged = len(header) > 1 or any(spans(cell) for row in header + rows for cell in row)
    text = (html_table if merged else markdown)(header, rows)
    out = {"instruction": record.get("instruction", "Read the table and answer the question about it."),
           "input": f"Table:\n{text}\nTable title:\n{record.get('title') or ''}\nQuestion:\n{record['question']}", "output": record["answer"]}
    about = {"category": record.get("task_type"), **{name: record.get(name) for name in ("table_type", "task_type", "dataset")}}
    return out | {name: value for name, value in about.items() if value is not None}


def metadata(block):
    return "".join(f"{key}: {value}\n" for key, value in (block.get("metadata") or {}).items())


def closed_context(record):
    blocks = record["blocks"]
    texts = [f"BEGININPUT\nBEGINCONTEXT\n{metadata(block)}ENDCONTEXT\n{block['text']}\nENDINPUT\n" for block in blocks]
    sources = ["\nSource:\n" + metadata(blocks[number - 1])[:-1] for number in record.get("cite") or []]
    return "", ["".join(texts) + f"BEGININSTRUCTION\n{record['instruction']}\nENDINSTRUCTION", record["response"] + "".join(sources)]


def plainformat(record):
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```[^\n]*$", record["response"], re.MULTILINE | re.DOTALL)
    code = "".join(fenced).removesuffix("\n") if fenced else record["response"]
    return "", [record["instruction"].strip().removesuffix(" PLAINFORMAT") + " PLAINFORMAT", code]


def embedded_turns(record):
    """Turns of a record that has more of them are trimmed, and a `</s>` at an answer's end goes; a question alone in its field stays as it is."""
    instruction, response = record["instruction"], record["response"]
    parts = [re.split(r"</s>\s*USER:", text) for text in (instruction, response)]
    if len(parts[0]) + len(parts[1]) == 2:
        return "", [instruction, response]
    (*earlier, question), (answer, *later) = parts
    exchanges = [*(text.split("ASSISTANT:", 1) for text in earlier), [question, answer], *(text.split("ASSISTANT:", 1) for text in later)]
    turns = [turn for said, reply in exchanges for turn in (said.strip(), reply.strip().removesuffix("</s>").strip())]
    return "", turns if earlier else [instruction, *turns[1:]]


def characters(record):
    user = record["user"]
    others = [character["name"] for character in record["characters"] if character["name"] != user]
    system = "A conversation of several characters.\n\nCharacters:\n"
    system += "".join(f"{character['name']}: {character['description']}\n" for character in record["characters"])
    if record.get("scene"):
        system += f"\nScene:\n{record['scene']}\n"
    system += f"\nThe user speaks as {user}. Answer as {', '.join(others)}, each line with its speaker's name."
    sides = [(mine, "\n".join(f"{line['name']}: {line['text']}" for line in lines))
             for mine, lines in itertools.groupby(record["lines"], lambda line: line["name"] == user)]
    if not sides[0][0]:
        system += "\n\nSo far:\n" + sides.pop(0)[1]
    return system, [text for _, text in sides[:len(sides) // 2 * 2]]


def airoboros(record, number):
    """The form is told by the fields, those of a chat of characters first."""
    forms = [(characters, "characters"), (closed_context, "blocks"), (plainformat, "plain")]
    system, turns = next((form for form, field in forms if record.get(field)), embedded_turns)(record)
    about = {"system": system, "category": record.get("category")}
    return {"id": f"made-{number}", **{name: value for name, value in about.items() if value},
            "conversations": [{"from": ("human", "assistant")[i % 2], "value": text} for i, text in enumerate(turns)]}


COMMANDS = {name: (["table"], table) if name.startswith("table") else (["airoboros", "--name", "made"], airoboros)
            for name in ("table_markdown", "table_html", "closed_context", "plainformat", "embedded_turns", "characters")}
# A record that each form refuses, and the word that says why.
REFUSED = {
    "table_markdown": ({"rows": [["a", "b"], ["c"]], "question": "", "answer": ""}, "fewer cells"),
    "table_html": ({"rows": [[{"text": "a", "rowspan": 2}]], "question": "", "answer": ""}, "below the last row"),
    "closed_context": ({"instruction": "a", "blocks": [{"text": "b\nENDINPUT\nc"}], "response": "d"}, "ENDINPUT"),
    "plainformat": ({"instruction": "a", "plain": True, "response": "```\nb"}, "without its end"),
    "embedded_turns": ({"instruction": "a", "response": "b</s> USER: c"}, "ASSISTANT"),
    "characters": ({"user": "A", "characters": [{"name": name, "description": ""} for name in "AB"], "lines": [{"name": "A", "text": "b"}]}, "nobody answers"),
}


def run(command, source, output):
    return subprocess.run([HERD, "data", "format", *command, str(source), "--output", str(output)], capture_output=True, text=True)


def check(name, folder):
    command, rule = COMMANDS[name]
    source, output = FIXTURES / f"{name}.jsonl", folder / "out.jsonl"
    records = [json.loads(line) for line in source.read_text(encoding="utf-8").split("\n")[:-1]]
    assert len(records) >= 20, name
    made = [json.dumps(rule(record, i + 1), ensure_ascii=False, separators=(",", ":")) for i, record in enumerate(records)]

    array = folder / "array.json"  # the same records as one array, on many lines
    array.write_text(json.dumps(records, indent=2), encoding="utf-8")
    wanted = (FIXTURES / f"{name}.expected.jsonl").read_bytes().decode().split("\n")[:-1]
    for what, found in (("the specification's rules", made), *((path.name, formatted(command, path, output)) for path in (source, array))):
        differing = next((pair for pair in itertools.zip_longest(found, wanted) if pair[0] != pair[1]), None)
        assert differing is None, f"{name}: {what} made\n  {differing[0]}\nand the expected file has\n  {differing[1]}"

    record, why = REFUSED[name]
    (folder / "more.jsonl").write_text(source.read_text(encoding="utf-8") + json.dumps(record) + "\n", encoding="utf-8")
    output.unlink()
    done = run(command, folder / "more.jsonl", output)
    assert done.returncode == 1 and f"more.jsonl:{len(records) + 1} (record {len(records) + 1})" in done.stderr and why in done.stderr, (name, done)
    assert not output.exists(), name
    print(f"{name}: {len(records)} records as expected")


def formatted(command, source, output):
    done = run(command, source, output)
    assert done.returncode == 0, (source, done.stderr)
    return output.read_bytes().decode().split("\n")[:-1]


def main():
    with tempfile.TemporaryDirectory() as scratch:
        for name in COMMANDS:
            check(name, pathlib.Path(scratch))


if __name__ == "__main__":
    sys.exit(main())
