"""lm-evaluation-harness over `herd serve`: what it sums of a prompt's log-probabilities is what `herd evaluate` tells, to the last bit."""

import json
import os
import unittest

import serving
from herd_run import run


class Harness(unittest.TestCase):
    def test_its_log_likelihoods_are_those_of_evaluate(self):
        os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TQDM_DISABLE="1")
        from lm_eval import simple_evaluate

        job = serving.ServedJob()
        self.addCleanup(job.close)
        records = [{"question": f"Say {'so ' * (i % 5)}{i}", "choices": [f"{'no ' * (i % 3)}{i}", f"perhaps {i * i}", "yes", f"{i} and {i + 1}, or more"], "answer": i % 4} for i in range(20)]
        data = job.write("choices.jsonl", "".join(json.dumps(record) + "\n" for record in records))
        task = {
            "task": "local", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(data)}, "cache_dir": str(job.folder / "cache")}, "test_split": "test", "output_type": "multiple_choice",
            "doc_to_text": "Question: {{question}}\nAnswer:", "doc_to_choice": "{{choices}}", "doc_to_target": "{{answer}}",
        }
        # One text at a time, as the harness sends them: products of several rows round otherwise.
        server = serving.Serving(job, "--batch-size", "1", "--name", "base")
        self.addCleanup(server.close)
        theirs = simple_evaluate(
            model="local-completions", tasks=[task], bootstrap_iters=0, log_samples=True,
            model_args={"model": "base", "base_url": f"http://127.0.0.1:{server.port}/v1/completions", "tokenizer": str(job.model), "tokenizer_backend": "huggingface", "add_bos_token": True})
        output = job.folder / "evaluated"
        numbered = job.write("numbered.jsonl", "".join(json.dumps({**record, "answer": record["choices"][record["answer"]]}) + "\n" for record in records))
        done = run("evaluate", "--model", job.model, "--task", "choice", "--data", numbered, "--output", output, "--threads", 1, "--batch-size", 1)
        self.assertEqual(done.code, 0, done)
        ours = [json.loads(line)["log_likelihoods"] for line in (output / "answers.jsonl").read_text().splitlines()]
        found = [[choice[0] for choice in sample["filtered_resps"]] for sample in sorted(theirs["samples"]["local"], key=lambda sample: sample["doc_id"])]
        self.assertEqual(len(ours), 20)
        self.assertEqual(found, ours)
        values = {value["metric"]: value["value"] for value in json.loads((output / "results.json").read_text())["values"] if value["category"] == "all"}
        for name in ("acc", "acc_norm"):
            self.assertAlmostEqual(theirs["results"]["local"][f"{name},none"], values[name])


if __name__ == "__main__":
    unittest.main(verbosity=2)
