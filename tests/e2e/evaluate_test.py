"""`herd evaluate` as one uses it: answers by task, judges that fail, runs side by side, any number of ranks, and what is refused."""

import json
import unittest

from herd_run import ASSETS, Job, run
from stub_judge import StubJudge

USAGE, FAILURE = 2, 1


class Evaluations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = Job()
        cls.addClassCleanup(cls.job.close)
        cls.folder = cls.job.folder

    def evaluate(self, model, task, data, *more, output=None, ranks=0, code=0):
        output = self.folder / (output or f"{self._testMethodName}-{task}")
        done = run("evaluate", "--model", model, "--task", task, "--data", data, "--output", output, "--threads", 1, *more, ranks=ranks, timeout=240)
        self.assertEqual(done.code, code, done)
        return output if code == 0 else done.output

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

    def test_refuses_with_one_line(self):
        write = self.job.write
        good = '{"question": "a", "std_answer": "b", "class": "c"}\n'
        deep = '{"question": "' + "long " * 300 + '", "std_answer": "b", "class": "c"}\n'
        for task, text, more, expected in [
                ("bele", good, [], "did you mean 'belle'?"), ("belle", "", [], "no object"), ("belle", "[]", [], "no object"), ("belle", good + "{broken\n", [], "x.json:2"),
                ("belle", '{"question": "a"}\n', [], "no field 'std_answer'"), ("belle", good + deep, [], "x.json:2 (record 2)"), ("belle", good, ["--shots", 2], "--shots"),
                ("belle", good, ["--use", "other"], "adapter 'other'"), ("gsm8k", '{"question": "a", "answer": "none"}\n', [], "the right answer 'none'"),
                ("choice", '{"question": "a", "choices": ["b", "c"], "answer": "d"}\n', [], "the right answer 'd'"),
                ("choice", '{"question": "' + "long " * 300 + '", "choices": ["b", "c"], "answer": "b"}\n', [], "the model's context"),
                ("texts", '{"text": "a"}\n', ["--context", 999], "--context"), ("texts", '{"text": "a"}\n', ["--stride", 999], "--stride")]:
            with self.subTest(task=task, expected=expected):
                said = self.evaluate(self.model, task, write("x.json", text), *more, output="refused", code=USAGE if task == "bele" or more else FAILURE)
                self.assertIn(expected, said)
                self.assertEqual(said.count("error:"), 1, said)
                self.assertFalse((self.folder / "refused").exists())
        (self.folder / "x.json").write_bytes(good.encode() + b'{"question": "\xff"}\n')
        self.assertIn("UTF-8", self.evaluate(self.model, "belle", self.folder / "x.json", output="refused", code=FAILURE))
        said = self.evaluate(self.model, "gsm8k", write("x.json", '{"question": "a", "answer": "none"}\n'), output="refused", code=FAILURE, ranks=2)
        self.assertEqual(said.count("error:"), 1, said)
        changed = self.folder / "changed"
        self.job.copy_run("base", "changed")
        herd = json.loads((self.job.run_folder("changed") / "model/herd.json").read_text())
        (self.job.run_folder("changed") / "model/herd.json").write_text(json.dumps({**herd, "template_fingerprint": "0" * 32}))
        self.assertIn("fingerprint", self.evaluate(self.job.run_folder("changed") / "model", "belle", self.belle, output="refused", code=FAILURE))
        self.assertFalse(changed.exists())
        short = self.evaluate(self.model, "belle", write("x.json", good + deep), "--skip-too-long", "--max-new-tokens", 2)
        self.assertEqual(len(self.answers(short)), 1)
        self.assertIn("no question that fits", self.evaluate(self.model, "belle", write("x.json", deep), "--skip-too-long", output="refused", code=FAILURE))
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
