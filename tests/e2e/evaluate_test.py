"""`herd evaluate` as one uses it: answers by task, judges that fail, runs side by side, any number of ranks, and what is refused."""

import json
import os
import pathlib
import shutil
import signal
import time
import unittest

from herd_run import ASSETS, HERD, MPIRUN, PATIENCE, TERMINATED, Job, Started, living, run, start
from stub_judge import StubJudge

USAGE, FAILURE = 2, 1


class Evaluations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = Job()
        cls.addClassCleanup(cls.job.close)
        cls.folder = cls.job.folder

    @staticmethod
    def arguments(model, task, data, output, *more):
        return ["evaluate", "--model", model, "--task", task, "--data", data, "--output", output, "--threads", 1, *more]

    def evaluate(self, model, task, data, *more, output=None, ranks=0, code=0):
        output = f"{self.folder}/{output or f'{self._testMethodName}-{task}'}"
        done = run(*self.arguments(model, task, data, output, *more), ranks=ranks, timeout=240)
        self.assertEqual(done.code, code, done)
        return pathlib.Path(output) if code == 0 else done.output

    def judge(self, folder, url, *more, code=0):
        done = run("evaluate", "judge", folder, "--judge", url, "--judge-model", "stub", "--wait", "0.01", *more, HERD_JUDGE_KEY="secret")
        self.assertEqual(done.code, code, done)
        return done.output

    def stub(self, reply):
        stub = StubJudge(reply)
        self.addCleanup(stub.close)
        return stub

    @staticmethod
    def values(folder):
        return {(v["metric"], v["category"]): v for v in json.loads((folder / "results.json").read_text())["values"]}

    @staticmethod
    def answers(folder):
        return [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]


class Generated(Evaluations):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = cls.job.made_model(steps=12)
        cls.many = cls.job.write("many.jsonl", "".join(cls.record(question=f"Say {'so ' * (i % 13)}{i}") for i in range(200)))
        classes = ["closed\u00a0QA", "Closed QA ", "generation", "math"]
        cls.belle = cls.job.write("belle.jsonl", "".join(json.dumps({"question": f"Say {i}", "std_answer": f"answer {i}", "class": classes[i % 4]}, ensure_ascii=False) + "\n" for i in range(8)))

    def test_answers_by_class_in_the_seeds_layout(self):
        folder = self.evaluate(self.model, "belle", self.belle, "--max-new-tokens", 12)
        values = self.values(folder)
        self.assertEqual({category for _, category in values}, {"all", "macro", "closed qa", "generation", "math"})
        self.assertEqual(values["rouge_l", "all"]["records"], 6, "generation has no reference to be held against")
        self.assertNotIn(("rouge_l", "generation"), values)
        listed = json.loads((folder / "answers.json").read_text())
        self.assertEqual([sorted(answer) for answer in listed], [["A", "C", "P", "Q"]] * 8)
        for i, (answer, line) in enumerate(zip(listed, self.answers(folder), strict=True)):
            self.assertEqual((answer["Q"], answer["A"]), (f"Say {i}", f"answer {i}"))
            self.assertTrue(answer["P"].startswith("Below is an instruction") and answer["P"].endswith("### Response:" + line["answer"]), answer)
        about = json.loads((folder / "results.json").read_text())["about"]
        self.assertEqual((about["task"], about["template"]), ("belle", "alpaca"))
        self.assertEqual(len((folder / "results.csv").read_text().splitlines()), 1 + len(values))

    def test_the_same_on_any_number_of_ranks(self):
        one = self.evaluate(self.model, "belle", self.belle, "--max-new-tokens", 12, output="one")
        three = self.evaluate(self.model, "belle", self.belle, "--max-new-tokens", 12, output="three", ranks=3)
        for name in ("answers.jsonl", "answers.json", "results.json"):
            self.assertEqual((one / name).read_bytes(), (three / name).read_bytes(), name)

    def test_marks_are_averaged_by_class_and_the_key_is_sent(self):
        folder = self.evaluate(self.model, "belle", self.belle, "--max-new-tokens", 8)
        marks = ["得分：1。好", "得分: 0.5\n因为", "0"]
        stub = self.stub(lambda prompt, before: marks[before % 3] if "Say 3" not in prompt else "得分:1")
        prompts = self.job.write("prompts.json", [{"class": "closed QA", "prompt": "MARK THIS"}])
        self.judge(folder, stub.url, "--prompts", prompts)
        values = self.values(folder)
        self.assertAlmostEqual(values["judge", "closed qa"]["value"], 0.5)
        self.assertAlmostEqual(values["judge", "math"]["value"], 0.75)
        self.assertAlmostEqual(values["judge", "macro"]["value"], (0.5 + 0.5 + 0.75) / 3)
        self.assertEqual(len(stub.prompts), 24)
        self.assertTrue(all(headers["Authorization"] == "Bearer secret" for headers in stub.headers))
        for prompt in stub.prompts:
            self.assertEqual("标准回答" in prompt, "Say 2" not in prompt and "Say 6" not in prompt, prompt)
            self.assertEqual(prompt.startswith("MARK THIS"), any(f"Say {i} " in prompt for i in (0, 1, 4, 5)), prompt)
        self.judge(folder, stub.url, "--prompts", prompts)
        self.assertEqual(len(stub.prompts), 24, "what is marked is not asked again")
        self.assertEqual(self.values(folder)["judge", "all"], values["judge", "all"])

    def test_a_judge_that_is_busy_talks_nonsense_or_dies(self):
        folder = self.evaluate(self.model, "belle", self.belle, "--max-new-tokens", 8)

        def reply(prompt, before):
            if "Say 0 " in prompt:
                return [429, 500, "得分: 0.8"][min(before, 2)]
            return {"Say 1 ": "I like it, 7 of 10", "Say 2 ": "得分: 80", "Say 3 ": "得分：8/10", "Say 4 ": 400}.get(next((f"Say {i} " for i in range(1, 5) if f"Say {i} " in prompt), ""), "得分: 0.4")
        stub = self.stub(reply)
        said = self.judge(folder, stub.url, "--passes", 1, code=FAILURE)
        self.assertIn("3 judgements without a mark, 1 unanswered", said)
        values = self.values(folder)
        self.assertEqual(values["judge", "all"]["records"], 4)
        self.assertAlmostEqual(values["judge", "all"]["value"], (0.8 + 3 * 0.4) / 4, msg="what has no mark is no 0")
        self.assertEqual([i for i, answer in enumerate(self.answers(folder)) if "judge" not in answer["scores"]], [1, 2, 3, 4])
        asked = len(stub.prompts)
        stub.reply = lambda prompt, before: "得分: 1"
        self.judge(folder, stub.url, "--passes", 1)
        self.assertEqual(len(stub.prompts) - asked, 4, "those that are missing, and no other")
        self.assertAlmostEqual(self.values(folder)["judge", "all"]["value"], (0.8 + 3 * 0.4 + 4) / 8)
        gone = StubJudge(reply)
        gone.close()
        said = self.judge(folder, gone.url, "--passes", 1, "--attempts", 2, code=FAILURE)
        self.assertIn("8 unanswered", said)
        self.assertNotIn(("judge", "all"), self.values(folder))
        stub.reply = lambda prompt, before: 401
        self.assertIn("status 401", self.judge(folder, stub.url, "--passes", 2, code=FAILURE))

    def test_runs_side_by_side(self):
        one = self.evaluate(self.model, "belle", self.belle, "--max-new-tokens", 4, output="short")
        two = self.evaluate(self.model, "belle", self.belle, "--max-new-tokens", 12, output="long")
        files = [self.folder / name for name in ("c.csv", "bars.png", "radar.svg")]
        done = run("evaluate", "compare", one, two, "--csv", files[0], "--picture", files[1], "--radar", files[2], "--metric", "distinct_1")
        self.assertEqual(done.code, 0, done)
        table = [line.split(",") for line in files[0].read_text().splitlines()]
        self.assertEqual(table[0][3:], ["short", "short low", "short high", "long", "long low", "long high", "long difference", "long difference low", "long difference high"])
        row = next(row for row in table if row[1:3] == ["rouge_l", "all"])
        self.assertAlmostEqual(float(row[6]) - float(row[3]), float(row[9]))
        self.assertEqual(float(row[3]), self.values(one)["rouge_l", "all"]["value"])
        self.assertEqual(files[1].read_bytes()[:4], b"\x89PNG")
        self.assertIn("closed qa", files[2].read_text())
        self.assertNotIn("no differences", done.output)
        fewer = self.evaluate(self.model, "belle", self.belle, "--max-new-tokens", 4, "--limit", 7)
        self.assertIn(f"no differences between short and {fewer.name}: they have 8 records and 7", run("evaluate", "compare", one, fewer).output)

    def test_a_silent_judge_is_given_up_after_the_attempts(self):
        folder = self.evaluate(self.model, "belle", self.belle, "--max-new-tokens", 8)
        for said, why in ((StubJudge.SILENCE, "unanswered"), (b"", "answered with nothing"), (" \n", "answered with nothing")):
            with self.subTest(said=said):
                stub = self.stub(lambda prompt, before, said=said: said)
                told = self.judge(folder, stub.url, "--passes", 2, "--attempts", 3, code=FAILURE)
                self.assertIn(why, told)
                self.assertIn("16 unanswered", told)
                self.assertEqual(len(stub.prompts), 3, "one question, three times")
        stub = self.stub(lambda prompt, before: "" if before == 0 else "得分: 1")
        self.judge(folder, stub.url, "--passes", 1)

    def test_marks_of_another_temperature_are_asked_for(self):
        folder = self.evaluate(self.model, "belle", self.belle, "--max-new-tokens", 8)
        stub = self.stub(lambda prompt, before: "得分: 1")
        for temperature in (0, 0.5, 0.5):
            self.judge(folder, stub.url, "--passes", 1, "--temperature", temperature)
        self.assertEqual(len(stub.prompts), 16)
        self.assertIn("temperature 0.5", json.loads((folder / "results.json").read_text())["about"]["judge"])

    def started(self, output, *more, ranks=0, answers=3):
        """Under way, with so many more answers stored."""
        answers += len(self.stored(output))
        job = start(*self.arguments(self.model, "belle", self.many, output, "--max-new-tokens", 100, *more), ranks=ranks)
        end = time.monotonic() + 60 * PATIENCE
        while len(self.stored(output)) < answers:
            self.assertIsNone(job.process.poll(), "ended too soon")
            self.assertLess(time.monotonic(), end)
            time.sleep(0.002)
        return job

    @staticmethod
    def stored(output):
        """Records that answers are kept of."""
        parts = [part.read_bytes() for part in output.parent.glob(output.name + ".parts/part-*")]
        return [json.loads(line)["record"] for part in parts for line in part.split(b"\n")[:-1]]

    def test_goes_on_after_a_kill_and_a_signal_on_other_ranks(self):
        whole = self.evaluate(self.model, "belle", self.many, "--max-new-tokens", 100, output="whole")
        output = self.folder / "killed"
        for ranks in (2, 0):
            job = self.started(output, ranks=ranks)
            for pid in [*job.ranks(), job.process.pid]:
                os.kill(pid, signal.SIGKILL)
            job.finish()
            while living(output):
                time.sleep(0.01)
            self.assertFalse((output / "results.json").exists())
        job = self.started(output)
        job.process.send_signal(signal.SIGTERM)
        done = job.finish()
        self.assertEqual(done.code, TERMINATED, done)
        self.assertIn("the same command goes on", done.output)
        stored = self.stored(output)
        self.assertEqual(len(stored), len(set(stored)), "a record twice")
        self.assertIn("temperature 0", self.evaluate(self.model, "belle", self.many, "--max-new-tokens", 100, "--temperature", 0.5, output="killed", code=USAGE))
        self.assertEqual(self.stored(output), stored)
        self.evaluate(self.model, "belle", self.many, "--max-new-tokens", 100, "--batch-size", 3, output="killed/", ranks=3)
        for name in ("answers.jsonl", "answers.json", "results.json"):
            self.assertEqual((output / name).read_bytes(), (whole / name).read_bytes(), name)
        self.assertFalse((self.folder / "killed.parts").exists())

    def test_nothing_is_answered_before_it_can_be_marked_and_kept(self):
        """The model has no weights, or none that are numbers: who reads them, or answers, says that."""
        without, broken = (pathlib.Path(shutil.copytree(self.model, self.folder / name)) for name in ("without", "broken"))
        (without / "model.safetensors").unlink()
        weights = (broken / "model.safetensors").read_bytes()
        begin = 8 + int.from_bytes(weights[:8], "little")
        (broken / "model.safetensors").write_bytes(weights[:begin] + b"\xff" * (len(weights) - begin))
        unfit = self.job.write("unfit.jsonl", '{"question": "a", "answer": "1"}\n{"question": "b", "answer": "none"}\n')
        none = self.job.write("none.jsonl", '{"instruction": "a", "output": ""}\n')
        self.refuse("gsm8k", unfit, "unfit.jsonl:2 (record 2): the right answer 'none'", model=without)
        self.refuse("instructions", none, "no record with a right answer", model=without)
        self.refuse("belle", self.belle, "safetensors", model=without)
        file = self.job.write("file", "")
        for task, data in (("belle", self.belle), ("texts", self.job.write("t.jsonl", '{"text": "abc"}\n'))):
            self.assertNotIn("NaN", self.evaluate(broken, task, data, output="file", code=FAILURE))
            self.assertIn("NaN", self.evaluate(broken, task, data, output="not-there", code=FAILURE))
        self.assertEqual(file.read_text(), "")

    def test_ranks_are_started_alike(self):
        one, other = (["--no-mutual-info", "--batch-size", str(size)] for size in (1, 2))
        choices = self.job.write("choices.jsonl", '{"question": "a", "choices": ["b", "c"], "answer": "b"}\n')
        command = [*map(str, self.arguments(self.model, "choice", choices, self.folder / "mixed"))]
        done = Started([MPIRUN, "1", HERD, *command, *one, ":", "-n", "1", HERD, *command, *other]).finish()
        self.assertEqual(done.code, USAGE, done)
        self.assertIn("batch-size 2; expected batch-size 1, as rank 0 has it", done.output)
        self.assertEqual(done.output.count("error:"), 1, done)
        self.assertFalse((self.folder / "mixed").exists())

    def test_leaves_out_what_is_too_long_in_all_kinds(self):
        deep = "long " * 300
        short = self.evaluate(self.model, "belle", self.job.write("x.json", self.record() + self.record(question=deep)), "--skip-too-long", "--max-new-tokens", 2)
        self.assertEqual(len(self.answers(short)), 1)
        choices = [{"question": question, "choices": ["b", long], "answer": "b"} for question, long in (("a", "c"), (deep, "c"), ("a", deep), ("d", "e"))]
        for task in ("choice", "choice_instruction"):
            short = self.evaluate(self.model, task, self.job.write("c.jsonl", "".join(json.dumps(choice) + "\n" for choice in choices)), "--skip-too-long")
            self.assertEqual([answer["question"] for answer in self.answers(short)], ["a", "d"] if task == "choice_instruction" else ["Question: a\nAnswer:", "Question: d\nAnswer:"])
            about = json.loads((short / "results.json").read_text())["about"]
            self.assertEqual((about["records"], about["left_out"].split(",")[0]), ("2", "2"))
        windows = self.evaluate(self.model, "texts", self.job.write("t.jsonl", json.dumps({"text": deep}) + "\n"), "--skip-too-long")
        self.assertEqual(len(self.answers(windows)), 1, "a text is read in windows: none is too long")
        self.refuse("belle", self.job.write("x.json", self.record(question=deep)), "no record that fits", "--skip-too-long")

    @staticmethod
    def record(**fields):
        return json.dumps({"question": "a", "std_answer": "b", "class": "c", **fields}) + "\n"

    def refuse(self, task, data, expected, *more, model=None, ranks=0, code=FAILURE):
        """With one error, and before a folder is made."""
        said = self.evaluate(model or self.model, task, data, *more, output="refused", ranks=ranks, code=code)
        self.assertIn(expected, said)
        self.assertEqual(said.count("error:"), 1, said)
        self.assertEqual(list(self.folder.glob("refused*")), [])

    def test_refuses_with_one_line(self):
        good, deep = self.record(), self.record(question="long " * 300)
        for task, text, more, expected in [
                ("bele", good, [], "did you mean 'belle'?"), ("belle", "", [], "no object"), ("belle", "[]", [], "no object"), ("belle", good + "{broken\n", [], "x.json:2"),
                ("belle", '{"question": "a"}\n', [], "no field 'std_answer'"), ("belle", self.record(std_answer=None), [], "no field 'std_answer'"), ("belle", good + deep, [], "x.json:2 (record 2)"),
                ("belle", good, ["--shots", 2], "--shots"), ("belle", good, ["--use", "other"], "adapter 'other'"),
                ("gsm8k", '{"question": "a", "answer": "none"}\n', [], "the right answer 'none'"),
                ("choice", '{"question": "a", "choices": ["b", "c"], "answer": "d"}\n', [], "the right answer 'd'"),
                ("choice", '{"question": "a", "choices": ["1", "2"], "answer": 1}\n', [], "reference_is"),
                ("choice", '{"question": "' + "long " * 300 + '", "choices": ["b", "c"], "answer": "b"}\n', [], "the model's context"),
                ("texts", '{"text": "a"}\n{"text": ""}\n', [], "x.json:2 (record 2): an empty text"),
                ("texts", '{"text": "a"}\n', ["--context", 999], "--context"), ("texts", '{"text": "a"}\n', ["--stride", 999], "--stride")]:
            with self.subTest(task=task, expected=expected):
                self.refuse(task, self.job.write("x.json", text), expected, *more, code=USAGE if task == "bele" or more else FAILURE)
        (self.folder / "x.json").write_bytes(good.encode() + b'{"question": "\xff"}\n')
        self.refuse("belle", self.folder / "x.json", "UTF-8")
        self.refuse("gsm8k", self.job.write("x.json", '{"question": "a", "answer": "none"}\n'), "the right answer 'none'", ranks=2)
        self.job.copy_run("base", "changed")
        changed = self.job.run_folder("changed") / "model"
        herd = json.loads((changed / "herd.json").read_text())
        (changed / "herd.json").write_text(json.dumps({**herd, "template_fingerprint": "0" * 32}))
        self.refuse("belle", self.belle, "fingerprint", model=changed)
        self.assertIn("no results.json", run("evaluate", "compare", self.folder / "runs").output)


@unittest.skipUnless(ASSETS.exists(), "the assets are not there")
class Real(Evaluations):
    """The seeds' evaluation files from end to end with a small model."""

    def test_every_file(self):
        model = ASSETS / "models/tinystories-656k-f32"
        for task, file, metric, records in [("belle", "belle/eval_set.json", "rouge_l", None), ("mmcu", "eval/alpaca-cot/mmcu/test.json", "acc", 1), ("arithmetic", "eval/gsm8k/test.json", "acc", 1319),
                                            ("arithmetic", "eval/MultiArith/test.json", "acc", 600), ("commonsense", "eval/ARC-Challenge/test.json", "acc", 1172),
                                            ("commonsense", "eval/boolq/test.json", "acc", 3270)]:
            with self.subTest(file=file):
                # Of each question a few tokens: what is tried here is every record of the files.
                folder = self.evaluate(model, task, ASSETS / "data" / file, "--template", "alpaca", "--max-new-tokens", 2, "--batch-size", 64, "--skip-too-long", output="real-" + file.replace("/", "-"), ranks=2)
                value = self.values(folder)[metric, "all"]
                if records:
                    self.assertEqual(value["records"], records)
        folder = self.folder / "real-belle-eval_set.json"
        self.assertEqual(len({answer["category"] for answer in self.answers(folder)}), 10)
        about = json.loads((folder / "results.json").read_text())["about"]
        records = int(about["records"])
        self.assertEqual(records + int(about["left_out"].split(",")[0]), 1000)
        self.assertGreater(records, 950)
        stub = self.stub(lambda prompt, before: "得分: 0.25")
        self.judge(folder, stub.url, "--passes", 1, "--prompts", ASSETS / "data/belle/eval_prompt.json")
        values = self.values(folder)
        self.assertEqual((values["judge", "all"]["records"], values["judge", "all"]["value"]), (records, 0.25))


if __name__ == "__main__":
    unittest.main()
