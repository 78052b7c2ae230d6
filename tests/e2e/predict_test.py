"""`herd predict` over files of records: on any number of ranks, killed and gone on with, and what is refused."""

import collections
import json
import os
import signal
import time
import unittest

from herd_run import HERD, PATIENCE, TERMINATED, Job, Started, living, run, start

INTERRUPTED, USAGE = 130, 2
RECORDS = 600  # as many as take a second: what is to come in between does
SAMPLED = ["--temperature", 0.9, "--seed", 7]


def lines(path):
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


class Predict(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = Job()
        cls.addClassCleanup(cls.job.close)
        cls.model = cls.job.made_model()
        # Of many lengths; every third has an input, all an answer that is not to be read.
        cls.records = [{"id": i, "instruction": f"Say {'so ' * (i % 13)}{i}", "input": str(i) if i % 3 == 0 else "", "output": f"the answer {i}"} for i in range(RECORDS)]
        cls.questions = cls.job.write("questions.json", cls.records)

    def setUp(self):
        self.output = self.job.folder / f"{self._testMethodName}.jsonl"
        self.parts = self.job.folder / f"{self.output.name}.parts"

    def arguments(self, *more, files=None, tokens=24):
        return ["predict", *(files or [self.questions]), "--model", self.model, "--threads", 1, "--max-new-tokens", tokens, "--output", self.output, *more]

    def predict(self, *more, ranks=0, code=0, **options):
        done = run(*self.arguments(*more, **options), ranks=ranks)
        self.assertEqual(done.code, code, done)
        return done

    def stored(self):
        """Records in the parts, whole lines only."""
        parts = [path.read_bytes() for path in self.parts.glob("part-*.jsonl")]
        return [json.loads(line)["record"] for part in parts for line in part.split(b"\n")[:-1]]

    def started(self, *more, ranks=0, answers=10, **options):
        """Under way with so many more answers stored."""
        answers += len(self.stored())
        job = start(*self.arguments(*more, **options), ranks=ranks)
        end = time.monotonic() + 60 * PATIENCE
        while len(self.stored()) < answers:
            self.assertIsNone(job.process.poll(), "ended too soon")
            self.assertLess(time.monotonic(), end)
            time.sleep(0.002)
        return job

    def test_answers_each_record_in_order_with_its_own_fields(self):
        done = self.predict()
        found = lines(self.output)
        self.assertEqual([{key: line[key] for key in self.records[0]} for line in found], self.records)
        self.assertEqual(list(found[0])[-3:], ["generated", "finish", "new_tokens"])
        self.assertIn(f"{RECORDS} answers", done.output)
        self.assertFalse(self.parts.exists())
        for i in (0, 77, RECORDS - 1):
            alone = run("generate", "--model", self.model, "--instruction", self.records[i]["instruction"], *(["--input", self.records[i]["input"]] if i % 3 == 0 else []),
                        "--max-new-tokens", 24, "--threads", 1, "--batch-size", 1)
            self.assertTrue(alone.output.startswith(found[i]["generated"] + "\n"), (i, alone, found[i]))

    def test_reads_any_format(self):
        chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"}, {"role": "user", "content": "Three"}]
        files = [self.job.write("a.jsonl", json.dumps({"messages": chat, "tag": [1]}) + "\n" + json.dumps({"messages": chat + [{"role": "assistant", "content": "Four"}]})),
                 self.job.write("b.csv", 'Question,Answer\n"One, two",x\n')]
        self.predict("--template", "vicuna_v1.1", "--column", "instruction=Question", "--column", "output=Answer", files=files[1:])
        table = lines(self.output)
        self.assertEqual((len(table), table[0]["instruction"], table[0]["output"]), (1, "One, two", "x"))
        self.predict("--template", "vicuna_v1.1", files=files[:1])
        first, second = lines(self.output)
        self.assertEqual((first["messages"], first["tag"]), (chat, [1]))
        self.assertEqual(second["messages"][-1]["content"], "Four")
        self.assertEqual(first["generated"], second["generated"])  # the reference is not read

    def test_is_the_same_text_on_any_number_of_ranks(self):
        texts = []
        for ranks in (0, 2, 3):
            self.predict(*SAMPLED, ranks=ranks)
            texts.append(self.output.read_text())
        self.assertEqual(texts[0], texts[1])
        self.assertEqual(texts[0], texts[2])

    def test_is_the_same_text_where_ranks_hold_the_weights_in_parts(self):
        """With an adapter, fewer questions than ranks at the end, and a kill that a run of whole weights goes on from."""
        done = self.job.train("lora", "train.max_steps=4", "peft.method=lora", "train.learning_rate=0.03", f"model.path={self.model}", "model.family=auto", "model.config=null", ranks=1)
        self.assertEqual(done.code, 0, done)
        for more in ([], ["--adapter", self.job.run_folder("lora") / "adapter", *SAMPLED]):
            self.predict(*more)
            alone = lines(self.output)
            for ranks in (1, 2, 3):
                self.output.unlink()
                self.predict(*more, "--shared", ranks=ranks)
                self.assertEqual(lines(self.output), alone)
        self.output.unlink()
        job = self.started("--shared", ranks=2)
        os.killpg(job.process.pid, signal.SIGKILL)
        job.finish()
        while living(self.job.folder):
            time.sleep(0.01)
        self.predict(ranks=3)
        self.assertEqual([line["id"] for line in lines(self.output)], [record["id"] for record in self.records])
        self.assertIn("leave one of them out", self.predict("--shared", "--quantization", "int8", ranks=2, code=USAGE, files=[self.job.write("one.json", self.records[:1])]).output)

    def test_goes_on_after_a_kill_at_any_moment_on_other_ranks(self):
        self.predict(*SAMPLED, tokens=100)
        whole = self.output.read_text()
        self.output.unlink()
        kept = {}
        for round, (ranks, answers) in enumerate([(2, 12), (0, 20), (3, 12), (0, 20)]):
            job = self.started(*SAMPLED, ranks=ranks, answers=answers, tokens=100)
            for pid in [*job.ranks(), job.process.pid]:
                os.kill(pid, signal.SIGKILL)
            job.finish()
            while living(self.output):
                time.sleep(0.01)
            self.assertFalse(self.output.exists())
            stored = collections.Counter(self.stored())
            self.assertEqual(set(stored.values()), {1}, "a record twice")
            self.assertLessEqual(kept.keys(), stored.keys(), "a record lost")
            kept = stored
            if round == 1:  # what a machine leaves that loses its power while it writes
                part = max(self.parts.glob("part-*.jsonl"))
                with part.open("a") as file:
                    file.write('{"record":3,"generated":"torn')
        self.assertGreaterEqual(len(kept), 64)
        done = self.predict(*SAMPLED, ranks=2, tokens=100)
        self.assertIn("answers are there from before", done.output)
        self.assertEqual(self.output.read_text(), whole)
        self.assertFalse(self.parts.exists())

    def test_a_signal_ends_it_after_the_texts_under_way(self):
        self.predict(tokens=100)
        whole = self.output.read_text()
        self.output.unlink()
        for number, code in ((signal.SIGTERM, TERMINATED), (signal.SIGINT, INTERRUPTED)):
            job = self.started(tokens=100)
            job.process.send_signal(number)
            done = job.finish()
            self.assertEqual(done.code, code, done)
            self.assertIn("the same command goes on", done.output)
            self.assertFalse(self.output.exists())
        self.predict(tokens=100)
        self.assertEqual(self.output.read_text(), whole)

    def test_one_rank_s_signal_ends_all(self):
        job = self.started(ranks=2, tokens=60)
        os.kill(job.ranks()[1], signal.SIGUSR1)
        done = job.finish()
        self.assertIn("SIGUSR1", done.output)
        self.assertNotEqual(done.code, 0, done)
        self.assertLess(len(self.stored()), RECORDS)

    def test_does_not_go_on_with_other_settings(self):
        job = self.started(*SAMPLED)
        job.process.kill()
        job.finish()
        kept = self.stored()
        done = self.predict("--temperature", 0.5, "--seed", 7, code=USAGE)
        self.assertIn("temperature 0.9", done.output)
        self.assertNotIn("seed", done.output)
        other = self.job.write("other.json", self.records[:100])
        self.assertIn("file 1", self.predict(*SAMPLED, files=[other], code=USAGE).output)
        self.assertIn("template", self.predict(*SAMPLED, "--template", "alpaca_short", code=USAGE).output)
        self.assertEqual(self.stored(), kept)
        self.predict(*SAMPLED, "--batch-size", 3)  # decides no text

    def test_two_at_once_do_not_share_an_output(self):
        job = self.started(tokens=100)
        refused = self.predict(tokens=100, code=1)
        self.assertIn("parts", refused.output)
        job.process.kill()
        job.finish()

    def test_a_full_disk_is_one_error_and_loses_nothing(self):
        limited = Started(["bash", "-c", 'trap "" XFSZ; ulimit -f 8; exec "$@"', "-", HERD, *map(str, self.arguments(*SAMPLED))]).finish()
        self.assertEqual(limited.code, 1, limited)
        self.assertEqual(limited.output.count("error:"), 1, limited)
        self.assertIn("File too large", limited.output)
        stored = self.stored()
        self.assertGreater(len(stored), 8)
        done = self.predict(*SAMPLED)
        self.assertIn(f"{len(stored)} of {RECORDS} answers are there from before", done.output)
        self.assertEqual([line["id"] for line in lines(self.output)], list(range(RECORDS)))

    def test_what_cannot_be_asked_stops_it_or_is_left_out(self):
        wrong = self.job.write("wrong.jsonl", "\n".join(json.dumps(record) for record in (
            {"instruction": "One", "output": ""}, {"instruction": "long " * 200, "output": ""}, {"instruction": "", "output": ""}, {"instruction": 3, "output": ""},
            {"instruction": "Two", "output": ""})))
        for ranks in (0, 2):
            done = self.predict(files=[wrong], ranks=ranks, code=1)
            self.assertEqual(done.output.count("error:"), 1, done)
            self.assertIn("wrong.jsonl:4", done.output)
        good = self.job.write("good.jsonl", "\n".join(wrong.read_text().splitlines()[:2]))
        self.assertIn("good.jsonl:2", self.predict(files=[good], code=1).output)
        done = self.predict("--broken", "skip", files=[wrong], ranks=2)
        self.assertIn("3 records left out", done.output)
        for said in ("wrong.jsonl:2", "191", "wrong.jsonl:3", "no question", "wrong.jsonl:4"):
            self.assertIn(said, done.output)
        self.assertEqual([line["instruction"] for line in lines(self.output)], ["One", "Two"])

    def test_what_is_refused(self):
        for more, said in ((["--use", "poet"], "poet"), (["--broken", "perhaps"], "--broken"), (["--column", "x"], "NAME=FIELD"), (["--format", "alpacca"], "alpaca"),
                           (["--temperature", -1], "temperature")):
            with self.subTest(said):
                self.assertIn(said, self.predict(*more, code=USAGE).output)
        done = run("predict", self.questions, "--model", self.model, "--output", self.questions)
        self.assertEqual(done.code, USAGE, done)
        self.assertEqual(json.loads(self.questions.read_text()), self.records)


if __name__ == "__main__":
    unittest.main(verbosity=2)
