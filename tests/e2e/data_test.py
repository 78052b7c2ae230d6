"""Data from its files to a run: every way that records are made and mixed ends in training; what changes meanwhile is noticed."""

import json
import os
import pathlib
import shutil
import signal
import time
import unittest

from herd_paths import ROOT
from herd_run import TERMINATED, Job, run

FIXTURES = ROOT / "tests/data/fixtures"
STEP = ["train.max_steps=2", "data.held_out=0", "data.unsupervised=skip", "train.global_batch_size=4"]


class Data(unittest.TestCase):
    def setUp(self):
        self.job = Job()

    def trains(self, name, *overrides, ranks=0):
        done = self.job.train(name, *STEP, *overrides, ranks=ranks)
        self.assertEqual(done.code, 0, f"{name}: {done}")
        return done

    def made(self, *command):
        done = run("data", *command)
        self.assertEqual(done.code, 0, f"{command}: {done}")
        return done

    def test_every_chat_corpus_is_imported_and_trained_on(self):
        corpora = sorted(path.stem for path in (FIXTURES / "import").glob("*.tsv"))
        self.assertEqual(len(corpora), 8)
        for corpus in corpora:
            with self.subTest(corpus):
                table = self.job.folder / f"{corpus}.tsv"
                self.made("import", corpus, FIXTURES / "import" / corpus, "--output", table)
                self.trains(corpus, f"data.sets={table}", "data.template=chatglm2")

    def test_every_form_is_formatted_and_trained_on(self):
        folder = self.job.folder
        self.job.write("aqua.tsv", "".join(f"What is {i} + 1?\t{i + 1}\tOne more than {i}\\nis {i + 1}.\n" for i in range(20)))
        forms = {"cot": ["cot", folder / "aqua.tsv"], "belle": ["belle", folder / "data.json"]}
        for name, command in forms.items():
            with self.subTest(name):
                output = folder / f"{name}.jsonl"
                self.made("format", *command, "--output", output)
                self.trains(name, f"data.sets=[{{name: {output}}}]", "data.template=chatglm2")
        self.made("demo", "--records", "60", "--seed", "1", "--output", folder / "demo")
        done = self.trains("demo", f"data.sets=[{{name: {folder}/demo, where: {{category: [math, code]}}, weight: 2}}]")
        self.assertRegex(done.output, r"48 left out by where")

    def test_every_table_and_every_form_of_airoboros_is_formatted_and_trained_on(self):
        files = sorted(path for path in (FIXTURES / "format").glob("*.jsonl") if ".expected" not in path.name)
        self.assertEqual(len(files), 6)
        for path in files:
            with self.subTest(path.stem):
                form, template = ("table", "alpaca") if path.stem.startswith("table") else ("airoboros", "airoboros_1.4")
                output = self.job.folder / path.name
                self.made("format", form, path, "--output", output)
                done = self.trains(path.stem, f"data.sets={output}", f"data.template={template}", "model.config.max_position_embeddings=1200",
                                   "data.max_tokens=1200")
                records = [json.loads(line) for line in output.read_text(encoding="utf-8").split("\n")[:-1]]
                answers = ["".join(turn["value"] for turn in record["conversations"][1::2]) if form == "airoboros" else record["output"] for record in records]
                self.assertIn(f"{len(records)} records: {sum(map(bool, answers))} examples", done.output)

    def test_a_mixture_by_name_tag_weight_and_limit(self):
        self.job.write("catalogue.yaml", "ours: {title: Ours, language: EN, files: [data.json]}\nmore: {language: CN, task: TS, files: [more.jsonl]}\n")
        self.job.write("more.jsonl", "".join(json.dumps({"instruction": f"数 {i % 30}", "output": str(i % 30)}) + "\n" for i in range(40)))
        mixture = [f"data.catalogue={self.job.folder}/catalogue.yaml", "data.sets=[{name: ours, weight: 0.5, limit: 20}, \"tag:TS\"]", "data.deduplicate=exact"]
        done = self.trains("mixed", *mixture)
        for told in ("28 left out by the limit", "10 left out as duplicates", "50 records: 50 examples"):
            self.assertIn(told, done.output)
        done = self.job.train("wrong", "data.sets=[belle]", ranks=2)
        self.assertEqual(done.code, 2, done)
        self.assertIn("belle_data_cn.json", done.output)
        done = self.job.train("wrong", "data.sets=[bele]", ranks=2)
        self.assertIn("did you mean 'belle'?", done.output)

    def test_a_broken_record_stops_or_is_counted(self):
        self.job.write("broken.jsonl", "".join(json.dumps(record) + "\n" for record in self.job.records[:10]) + '{"instruction": 7, "output": "x"}\n')
        done = self.job.train("stops", *STEP, f"data.sets={self.job.folder}/broken.jsonl", ranks=2)
        self.assertEqual(done.code, 1, done)
        self.assertRegex(done.output, r"broken\.jsonl:11 \(record 11\).*a number in field 'instruction'")
        done = self.trains("skips", f"data.sets={self.job.folder}/broken.jsonl", "data.broken=skip", ranks=2)
        self.assertIn("1 broken and left out", done.output)
        self.assertIn("broken.jsonl:11", done.output)

    def test_a_file_that_changed_since_the_checkpoint_is_named(self):
        self.job.write("second.json", self.job.records[:8])
        sets = f"data.sets=[{self.job.folder}/data.json, {self.job.folder}/second.json]"
        self.assertEqual(self.job.train("first", "train.max_steps=2", sets).code, 0)
        (self.job.folder / "moved").mkdir()
        shutil.move(self.job.folder / "second.json", self.job.folder / "moved/second.json")
        moved = f"data.sets=[{self.job.folder}/data.json, {self.job.folder}/moved/second.json]"
        self.assertEqual(self.job.train("first", "train.max_steps=3", moved, "resume=auto").code, 0)  # where it lies says nothing
        records = self.job.records[:8]
        records[3] = {**records[3], "output": "something else"}
        self.job.write("moved/second.json", records)
        done = self.job.train("first", "train.max_steps=4", moved, "resume=auto")
        self.assertNotIn(done.code, (0, "still running"), done)
        self.assertRegex(done.output, r"is of another data and another data file 2")
        self.assertIn("(second.json)", done.output)
        self.assertNotIn("(data.json)", done.output)

    def test_the_cache_changes_nothing_but_the_time(self):
        cache = f"data.cache={self.job.folder}/cache"
        plain = self.job.train("plain", "train.epochs=1", "data.packing=true", "data.cache=off")
        self.assertEqual(plain.code, 0, plain)
        for name in ("makes", "finds"):
            done = self.job.train(name, "train.epochs=1", "data.packing=true", cache, ranks=3 if name == "finds" else 2)
            self.assertEqual(done.code, 0, done)
        self.assertEqual(self.job.metrics("plain"), self.job.metrics("makes"))
        for step, loss in self.job.metrics("plain").items():
            self.assertAlmostEqual(loss, self.job.metrics("finds")[step], delta=1e-5)
        kept = [path for path in (self.job.folder / "cache").iterdir() if path.suffix != ".lock"]
        self.assertEqual(len(kept), 1, kept)
        for file in kept[0].glob("*.examples"):  # cut short while nobody looked
            file.write_bytes(file.read_bytes()[:-8])
        done = self.job.train("mends", "train.epochs=1", "data.packing=true", cache)
        self.assertEqual(done.code, 0, done)
        self.assertIn("are made again", done.output)
        self.assertEqual(self.job.metrics("plain"), self.job.metrics("mends"))

    def test_a_signal_while_data_are_tokenised_is_obeyed_and_leaves_nothing(self):
        many = self.job.folder / "many.jsonl"
        many.write_text("".join(json.dumps({"instruction": f"Say {i}.", "output": str(i)}) + "\n" for i in range(400_000)))
        cache = self.job.folder / "cache"
        arguments = [f"data.sets={many}", "data.held_out=0", f"data.cache={cache}", "train.max_steps=1"]
        for name, ranks, hear in (("alone", 0, slice(None)), ("both", 2, slice(None)), ("one", 2, slice(1))):
            started = self.job.start(name, *arguments, ranks=ranks)
            end = time.monotonic() + 30
            while not any(cache.glob("*/train.examples")) and not any(cache.glob(".*/train.examples")):
                self.assertLess(time.monotonic(), end, "nothing is tokenised")
                time.sleep(0.005)
            for process in (started.ranks() or [started.process.pid])[hear]:
                os.kill(process, signal.SIGTERM)
            done = started.finish()
            self.assertEqual(done.code, TERMINATED, done)
            self.assertIn("SIGTERM came before the first step", done.output)
            if name == "one":  # which may be the one that waits while the other makes it
                shutil.rmtree(cache)
                continue
            self.assertEqual([path.name for path in cache.iterdir() if path.suffix != ".lock"], [], "it was tokenised to the end, or left in the middle")
        self.assertEqual(self.job.train("whole", *arguments).code, 0)

    def test_streamed_data_resume_bit_for_bit_and_on_other_ranks(self):
        self.job.write("more.jsonl", "".join(json.dumps({"instruction": f"{i}", "output": f"{i % 7}"}) + "\n" for i in range(60)))
        stream = [f"data.sets=[{self.job.folder}/data.json, {{name: {self.job.folder}/more.jsonl, weight: 0.5}}]", "data.streaming=true", "data.held_out=0.2",
                  "data.packing=true", "train.epochs=4", "train.max_steps=30", "train.evaluate_every=1 epoch", "train.global_batch_size=4"]
        self.assertIn("train.max_steps", self.job.train("none", *stream, "train.max_steps=0").output)
        whole = self.job.train("whole", *stream)
        self.assertEqual(whole.code, 0, whole)
        losses = self.job.metrics("whole")
        self.assertGreater(len(losses), 8)  # all four epochs, fewer steps than the limit
        self.assertLess(len(losses), 30)
        self.assertEqual(len(self.job.metrics("whole", "held_out_loss")), 4)
        first = self.job.train("parts", *stream, "train.max_steps=7", "checkpoint.every=7 steps", "train.schedule=constant")
        self.assertEqual(first.code, 0, first)
        constant = self.job.train("constant", *stream, "train.schedule=constant")
        self.assertEqual(constant.code, 0, constant)
        for copy, ranks in (("same", 2), ("three", 3)):
            self.job.copy_run("parts", copy)
            done = self.job.train(copy, *stream, "train.schedule=constant", "resume=auto", ranks=ranks)
            self.assertEqual(done.code, 0, done)
            for step, loss in self.job.metrics("constant").items():
                if ranks == 2:
                    self.assertEqual(self.job.metrics(copy)[step], loss, step)
                else:
                    self.assertAlmostEqual(self.job.metrics(copy)[step], loss, delta=1e-5)

    def test_a_template_of_ones_own_goes_with_the_weights(self):
        text = 'user: "Q {text}\\n"\nassistant: {header: "A", text: " {text}", end: "{eos}"}\n'
        mine = self.job.write("mine.yaml", text)
        self.trains("mine", f"data.template={mine}", "peft.method=none")
        mine.unlink()
        model = self.job.run_folder("mine") / "model"
        self.assertEqual(json.loads((model / "herd.json").read_text())["template_text"], text)
        done = run("generate", "--model", model, "--instruction", "Hello", "--max-new-tokens", "2", "--temperature", "0")
        self.assertEqual(done.code, 0, done)
        prompt = run("generate", "--model", model, "--prompt", "Q Hello\nA", "--max-new-tokens", "2", "--temperature", "0")
        self.assertEqual(done.output.splitlines()[0], prompt.output.splitlines()[0])

    def test_the_tokenizers_own_chat_template(self):
        config = json.loads((self.job.folder / "tokenizer/tokenizer_config.json").read_text())
        config["chat_template"] = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
        self.job.write("tokenizer/tokenizer_config.json", config)
        self.trains("own", "data.template=tokenizer", "data.max_tokens=150", "peft.method=none")
        model = self.job.run_folder("own") / "model"
        self.assertEqual(json.loads((model / "herd.json").read_text())["template"], "chat_template")
        asked = run("generate", "--model", model, "--instruction", "Hello", "--max-new-tokens", "2", "--temperature", "0")
        self.assertEqual(asked.code, 0, asked)
        config["chat_template"] = config["chat_template"].replace("[", "<")
        (model / "tokenizer_config.json").write_text(json.dumps(config))
        done = run("generate", "--model", model, "--instruction", "Hello", "--max-new-tokens", "2", "--temperature", "0")
        self.assertNotEqual(done.code, 0, done)
        self.assertIn("the prompts would differ from training's", done.output)
        del config["chat_template"]
        self.job.write("tokenizer/tokenizer_config.json", config)
        done = self.job.train("none", "data.template=tokenizer", ranks=2)
        self.assertIn("no chat template", done.output)

    def test_text_goes_on_with_pre_training(self):
        self.job.write("text.txt", "\n".join(record["output"] * 5 for record in self.job.records) + "\n")
        done = self.trains("text", f"data.sets={self.job.folder}/text.txt", "data.objective=text", "data.max_tokens=64", ranks=2)
        self.assertRegex(done.output, r"48 records: \d+ examples")
        done = self.job.train("not", *STEP, f"data.sets={self.job.folder}/text.txt", ranks=2)
        self.assertIn("data.objective=text", done.output)

    def test_conversations_of_several_rounds(self):
        chats = [{"conversations": [{"from": who, "value": f"{who} {i} {turn}"} for turn in range(3) for who in ("human", "gpt")]} for i in range(12)]
        for template in ("vicuna_v1.1", "llama-3", "chatglm", "alpaca", "moss"):
            with self.subTest(template):
                done = self.trains(template, f"data.sets={self.job.write('chats.json', chats)}", f"data.template={template}", "data.train_on=response",
                                   "model.config.max_position_embeddings=1200", "data.max_tokens=1200")
                self.assertIn(f"12 records: {36 if template == 'chatglm' else 12} examples", done.output)


if __name__ == "__main__":
    unittest.main()
