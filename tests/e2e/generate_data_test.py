"""`herd data generate` and `herd data cull` as one uses them: against a stub that answers well, badly or not at all, killed at any moment, on
a full disk, and against herd's own server."""

import json
import os
import re
import signal
import threading
import time
import unittest

from herd_run import PATIENCE, TERMINATED, Job, run, start
from serving import Serving
from stub_judge import StubJudge

USAGE, FAILURE = 2, 1
EN_TEXT = "Instruction: Describe the {0}th {1} of the {2}.\nInput: none\nResponse: It is {0} {1}s old.\n"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def completion(text, finish="stop", tokens=(100, 40)):
    return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}],
            "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}}


def tasks(prompt, count=5):
    """Tasks that are a function of the prompt, so that the same prompt gets the same ones."""
    words = [f"w{hash_of(prompt, i)}" for i in range(3 * count)]
    return "###\n".join(EN_TEXT.format(*words[3 * i:3 * i + 3]) for i in range(count))


def hash_of(prompt, i):
    value = 14695981039346656037 + i
    for byte in prompt.encode():
        value = (value ^ byte) * 1099511628211 % 2 ** 64
    return (value * (2 * i + 3)) % 100_003


class Generate(unittest.TestCase):
    def setUp(self):
        self.job = Job(records=8)
        self.addCleanup(self.job.close)
        self.folder = self.job.folder
        self.output = self.folder / "made.jsonl"
        self.replies = self.folder / "made.jsonl.replies/replies.log"

    def stub(self, reply=lambda prompt, before: completion(tasks(prompt))):
        stub = StubJudge(reply)
        self.addCleanup(stub.close)
        return stub

    def arguments(self, url, *more, kind="self_instruct"):
        return ["data", "generate", "--kind", kind, "--endpoint", url, "--model", "stub", "--output", self.output, "--wait", "0.01", *more]

    def generate(self, url, *more, code=0, kind="self_instruct", **environment):
        done = run(*self.arguments(url, *more, kind=kind), **{"HERD_ENDPOINT_KEY": "secret", **environment})
        self.assertEqual(done.code, code, done)
        self.assertEqual(done.output.count("error:"), 0 if code in (0, TERMINATED) else 1, done)
        return done.output

    def report(self):
        return json.loads((self.folder / "made.jsonl.report").read_text())

    def test_makes_records_with_their_provenance_and_cost(self):
        stub = self.stub()
        said = self.generate(stub.url, "--count", 23, "--price-in", 2, "--price-out", 10, "--parallel", 3)
        made = lines(self.output)
        self.assertEqual(len(made), 23)
        self.assertEqual(len({record["instruction"] for record in made}), 23)
        self.assertEqual(set(made[0]), {"instruction", "input", "output", "category", "language", "provenance"})
        self.assertEqual((made[0]["category"], made[0]["language"], made[0]["input"]), ("self_instruct", "EN", ""))
        self.assertEqual([record["provenance"]["request"] for record in made], sorted(record["provenance"]["request"] for record in made))
        self.assertEqual((made[0]["provenance"]["kind"], made[0]["provenance"]["model"], len(made[0]["provenance"]["seeds"])), ("self_instruct", "stub", 3))
        report = self.report()
        asked = len(stub.prompts)
        self.assertEqual((report["records"], report["replies"], report["prompt_tokens"], report["answer_tokens"]), (23, asked, 100 * asked, 40 * asked))
        self.assertAlmostEqual(report["cost"], asked * (100 * 2 + 40 * 10) / 1e6)
        self.assertIn(f"cost {report['cost']:.4f}", said)
        self.assertLessEqual(asked, 7, "no more is asked for than is needed")
        self.assertTrue(all(headers["Authorization"] == "Bearer secret" for headers in stub.headers))
        self.assertEqual((stub.bodies[0]["model"], stub.bodies[0]["temperature"], stub.bodies[0]["max_tokens"]), ("stub", 1.0, 3072))
        self.assertEqual(len(set(stub.prompts)), asked)
        self.assertNotIn("secret", self.replies.read_text() + said)
        shown = run("data", "show", self.output, "--records", "2")
        self.assertIn("alpaca", shown.output, shown)

    def test_more_of_the_same_asks_only_for_what_is_missing(self):
        stub = self.stub()
        self.generate(stub.url, "--count", 10)
        first, asked = self.output.read_text(), len(stub.prompts)
        self.generate(stub.url, "--count", 10)
        self.assertEqual((self.output.read_text(), len(stub.prompts)), (first, asked))
        self.generate(stub.url, "--count", 20, "--parallel", 1)
        self.assertTrue(self.output.read_text().startswith(first))
        self.assertEqual(len(lines(self.output)), 20)
        self.assertEqual(len(set(stub.prompts)), len(stub.prompts), "nothing was asked twice")
        said = self.generate(stub.url, "--count", 20, "--seed", 2, code=USAGE)
        self.assertIn("replies under seed 1", said)

    def test_is_the_same_however_many_requests_are_under_way(self):
        texts = []
        chance = iter(range(10 ** 6))
        stub = self.stub(lambda prompt, before: time.sleep((next(chance) * 7 % 5) * 0.01) or completion(tasks(prompt)))
        for parallel in (1, 6):
            self.output = self.folder / f"made-{parallel}.jsonl"
            self.generate(stub.url, "--count", 40, "--parallel", parallel)
            texts.append(self.output.read_text())
        self.assertEqual(texts[0], texts[1])

    def test_killed_at_any_moment_it_goes_on_as_if_it_had_not_been(self):
        stub = self.stub(lambda prompt, before: time.sleep(0.03) or completion("Instruction: Say w" + str(hash_of(prompt, 0)) + " x" + str(hash_of(prompt, 1)) + " y" + str(hash_of(prompt, 2)) + "!" if "Do:" not in prompt else f"done {hash_of(prompt, 3)}"))
        kind = self.job.write("two.yaml", "prompt: 'Make {batch}, {topics}'\ntopics: 1\nbatch: 1\nanswer_prompt: 'Do: {instruction}'\nlabels: {instruction: Instruction}\n")
        arguments = ["--count", 40, "--parallel", 3, "--topics", self.job.write("topics.txt", "\n".join(f"topic {i}" for i in range(60)))]
        self.output = self.folder / "whole.jsonl"
        self.generate(stub.url, *arguments, kind=kind)
        whole = self.output.read_text()
        self.output, counted = self.folder / "made.jsonl", len(stub.prompts)
        for round in range(4):
            before = self.replies.stat().st_size if self.replies.exists() else 0
            job = start(*self.arguments(stub.url, *arguments, kind=kind))
            end = time.monotonic() + 30 * PATIENCE
            while not self.replies.exists() or self.replies.stat().st_size < before + 900 + 37 * round:
                self.assertIsNone(job.process.poll())
                self.assertLess(time.monotonic(), end)
                time.sleep(0.001)
            os.kill(job.process.pid, signal.SIGKILL)
            job.finish()
            self.assertFalse(self.output.exists())
            if round == 1:
                with self.replies.open("a") as file:
                    file.write('{"request":3,"part":0,"asked":"torn')
        said = self.generate(stub.url, *arguments, kind=kind)
        self.assertEqual(self.output.read_text(), whole)
        before = int(re.search(r"\((\d+) from before\)", said).group(1))
        self.assertGreater(before, 12)
        self.assertLessEqual(len(stub.prompts), 2 * counted + 4 * 3, "no more is asked again than was under way")

    def test_a_signal_ends_it_with_what_is_there(self):
        stub = self.stub(lambda prompt, before: time.sleep(0.05) or completion(tasks(prompt)))
        job = start(*self.arguments(stub.url, "--count", 500))
        while not self.replies.exists() or self.replies.stat().st_size < 4000:
            time.sleep(0.005)
        job.process.send_signal(signal.SIGTERM)
        done = job.finish()
        self.assertEqual(done.code, TERMINATED, done)
        self.assertIn("the same command goes on", done.output)
        self.assertGreater(len(lines(self.output)), 5)
        self.assertEqual(self.report()["ended_by"], "a signal")

    def test_rejects_for_a_reason_and_counts_it(self):
        bad = ("Instruction: Draw a picture of a house.\nResponse: x\nInstruction: Tell a joke about a hen.\nResponse: As an AI language model, I do not joke.\n"
               "Instruction: Name three uses for an empty glass jar!\nResponse: a copy of a seed\nInstruction: Go\nResponse: yes\nInstruction: This one is cut\nResponse: off he")
        stub = self.stub(lambda prompt, before: completion(bad, "length") if len(stub.prompts) == 0 else completion(tasks(prompt)))
        said = self.generate(stub.url, "--count", 5, "--parallel", 1)
        self.assertEqual({reason: count for reason, count in self.report()["rejected"].items() if count},
                         {"forbidden words": 1, "refused by the model": 1, "near duplicate": 1, "too short": 1, "unfinished": 1})
        self.assertIn("1 near duplicate", said)

    def test_a_service_that_is_busy_talks_nonsense_or_dies(self):
        state = {"n": 0}

        def reply(prompt, before):
            state["n"] += 1
            return {1: 429, 2: 500, 4: 400, 5: b"<html>login</html>", 6: {"choices": []}}.get(state["n"], completion(tasks(prompt)))
        stub = self.stub(reply)
        self.generate(stub.url, "--count", 12, "--parallel", 1)
        self.assertEqual(self.report()["rejected"]["unanswered"], 3)
        self.assertEqual(len(lines(self.output)), 12)
        asked = len(stub.prompts)
        self.generate(stub.url, "--count", 12, "--parallel", 1)
        self.assertEqual(len(stub.prompts), asked, "what had no answer between others is not asked again")
        stub.reply = lambda prompt, before: b"\xff\x00 nonsense"
        said = self.generate(stub.url, "--count", 30, "--patience", 4, code=FAILURE)
        self.assertIn("4 requests in a row gave no record", said)
        self.assertIn("no chat completion", said)
        self.assertEqual(len(lines(self.output)), 15, "what was paid for before, without the bound of 12")
        stub.reply = lambda prompt, before: 401
        self.assertIn("status 401", self.generate(stub.url, "--count", 30, code=FAILURE))
        stub.reply = lambda prompt, before: 404
        self.assertIn("status 404", self.generate(stub.url, "--count", 30, code=FAILURE))
        gone = StubJudge(reply)
        gone.close()
        self.generate(gone.url, "--count", 30, "--attempts", 2, code=FAILURE)
        stub.reply = lambda prompt, before: completion(tasks(prompt))
        self.generate(stub.url, "--count", 30)
        self.assertEqual(len(lines(self.output)), 30)

    def test_stops_at_the_greatest_cost(self):
        stub = self.stub(lambda prompt, before: completion(tasks(prompt), tokens=(1000, 1000)))
        more = ["--count", 100, "--price-in", 100, "--price-out", 100, "--parallel", 1]
        said = self.generate(stub.url, *more, "--max-cost", 1, code=FAILURE)
        self.assertIn("greatest cost of 1", said)
        self.assertEqual(len(stub.prompts), 5, "each costs 0.2")
        self.assertEqual(len(lines(self.output)), 25)
        self.generate(stub.url, *more, "--max-cost", 1, code=FAILURE)
        self.assertEqual(len(stub.prompts), 5, "what was paid before counts")
        self.generate(stub.url, *more, "--max-cost", 10)
        self.assertEqual(len(lines(self.output)), 100)

    def test_a_full_disk_loses_nothing_that_was_written(self):
        disk = self.folder / "disk"
        disk.mkdir()
        if os.system(f"mount -t tmpfs -o size=24k tmpfs {disk} 2>/dev/null") != 0:
            self.skipTest("mounting needs root")
        self.addCleanup(os.system, f"umount {disk}")
        self.output = disk / "made.jsonl"
        stub = self.stub()
        said = self.generate(stub.url, "--count", 200, code=FAILURE)
        self.assertIn("cannot write", said)
        os.system(f"mount -o remount,size=2m {disk}")
        asked = len(stub.prompts)
        self.generate(stub.url, "--count", 200)
        self.assertEqual(len(lines(self.output)), 200)
        self.assertLessEqual(len(stub.prompts) - len(set(stub.prompts)), 4, "at most what was under way is asked again")
        self.assertGreater(asked, 8)

    def test_two_at_one_output_and_bad_arguments(self):
        gate = threading.Event()
        stub = self.stub(lambda prompt, before: gate.wait(30) and completion(tasks(prompt)))
        job = start(*self.arguments(stub.url, "--count", 5))
        while not stub.bodies and not self.replies.exists():
            time.sleep(0.01)
        self.generate(stub.url, "--count", 5, code=FAILURE)
        gate.set()
        self.assertEqual(job.finish().code, 0)
        one_topic = self.job.write("topic.txt", "# none\n\nonly one\n")
        chat = self.job.write("chat.jsonl", json.dumps({"messages": [{"role": r, "content": "x"} for r in ("user", "assistant", "user", "assistant")]}))
        self.output = self.job.write("mine.jsonl", "not to be lost\n")
        self.assertIn("a file that is there", self.generate(stub.url, code=USAGE))
        self.assertEqual(self.output.read_text(), "not to be lost\n")
        self.output = self.folder / "other.jsonl"
        for kind, more, code, expected in [
                ("self_instrct", [], USAGE, "did you mean 'self_instruct'"), (self.job.write("bad.yaml", "promt: x\n"), [], USAGE, "bad.yaml:1"), ("self_instruct", ["--endpoint", "localhost:1"], USAGE, "--endpoint"),
                ("self_instruct", ["--rouge", "1.5"], USAGE, "--rouge"), ("self_instruct", ["--rouge", "0.5", "--bm25", "18"], USAGE, "--bm25"), ("self_instruct", ["--examples", "99"], USAGE, "20 seed tasks"),
                ("self_instruct", ["--examples", "0"], USAGE, "--examples"), ("general", ["--topics", one_topic], USAGE, "1 topic"), ("self_instruct", ["--max-cost", "1"], USAGE, "--price-in"),
                ("self_instruct", ["--seeds", chat], FAILURE, "chat.jsonl:1 (record 1)"), ("self_instruct", ["--seeds", self.folder / "none"], FAILURE, "none"), ("self_instruct", ["--count", "0"], USAGE, "--count")]:
            with self.subTest(expected=expected):
                arguments = self.arguments(stub.url, kind=kind)
                if "--endpoint" in more:
                    arguments[arguments.index("--endpoint") + 1] = more[1]
                    more = []
                done = run(*arguments, *more)
                self.assertEqual(done.code, code, done)
                self.assertIn(expected, done.output)
                self.assertFalse(self.output.exists())

    def test_chinese_by_bm25_with_belles_seeds(self):
        def reply(prompt, before):
            characters = [chr(0x4e00 + hash_of(prompt, i) % 20000) for i in range(60)]
            items = ["".join(characters[10 * i:10 * i + 10]) for i in range(5)] + ["说出空玻璃瓶的三种用途，请说出空玻璃瓶的三种用途。"]
            return completion("".join(f"###\n{i + 4}. 指令：写{item}\n输入：无\n回答：好的{item}\n" for i, item in enumerate(items)))
        stub = self.stub(reply)
        self.generate(stub.url, "--count", 12, "--bm25", 18, "--parallel", 1, kind="self_instruct_zh")
        made = lines(self.output)
        self.assertEqual((len(made), made[0]["language"]), (12, "CN"))
        self.assertTrue(made[0]["instruction"].startswith("写"))
        self.assertGreaterEqual(self.report()["rejected"]["near duplicate"], 2)
        self.assertIn("指令：", stub.prompts[0])

    def test_cull_what_was_made(self):
        stub = self.stub()
        self.generate(stub.url, "--count", 30)
        copies = self.job.write("copies.jsonl", "".join(json.dumps({**record, "output": record["output"] + " and more"}) + "\n" for record in lines(self.output)[:10])
                                + json.dumps({"instruction": "Tell me about rivers of ice", "input": "", "output": "I'm sorry, but I can't."}) + "\n")
        thinned, dropped = self.folder / "thinned.jsonl", self.folder / "dropped.jsonl"
        done = run("data", "cull", self.output, copies, "--keep", "longest", "--output", thinned, "--dropped", dropped, "--examples", 2)
        self.assertEqual(done.code, 0, done)
        self.assertIn("41 records read; dropped: 1 refused by the model, 10 near duplicate", done.output)
        self.assertEqual(done.output.count("near: "), 2)
        self.assertEqual(len(lines(thinned)), 30)
        self.assertEqual(sum("and more" in record["output"] for record in lines(thinned)), 10)
        self.assertEqual({record["dropped"]["reason"] for record in lines(dropped)}, {"refused by the model", "near duplicate"})
        self.assertIn("the output is an input", run("data", "cull", copies, "--output", copies).output)

    def test_kinds_are_listed(self):
        listed = run("data", "kinds").output
        for name in ("self_instruct", "self_instruct_zh", "contextual", "coding"):
            self.assertRegex(listed, rf"(?m)^{name} +(EN|CN) +\S")


class OwnServer(unittest.TestCase):
    def test_against_herds_own_server(self):
        job = Job()
        self.addCleanup(job.close)
        model = job.made_model(steps=4)

        class Served:
            def served_arguments(self):
                return ["--model", model, "--threads", "1"]
        serving = Serving(Served())
        self.addCleanup(serving.close)
        name = serving.get("/v1/models")[1]["data"][0]["id"]
        # A model of six steps writes no tasks: what is tried here is that each understands the other.
        kind = job.write("tiny.yaml", "prompt: 'Say {batch}: {topics}'\ntopics: 1\nbatch: 1\nlabels: {instruction: Instruction, output: Response}\nmax_tokens: 8\n")
        output = job.folder / "made.jsonl"
        done = run("data", "generate", "--kind", kind, "--endpoint", f"http://127.0.0.1:{serving.port}/v1", "--model", name, "--output", output, "--count", 3, "--patience", 3, "--parallel", 2)
        self.assertEqual(done.code, FAILURE, done)
        self.assertIn("in a row gave no record", done.output)
        report = json.loads((job.folder / "made.jsonl.report").read_text())
        self.assertEqual(report["rejected"]["unanswered"], 0)
        self.assertGreaterEqual(report["replies"], 3)
        self.assertGreater(report["prompt_tokens"], 0)
        self.assertGreater(report["answer_tokens"], 0)
        self.assertEqual(report["replies_without_a_token_count"], 0)


if __name__ == "__main__":
    unittest.main()
