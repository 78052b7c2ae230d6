"""herd fetch, and hub ids in commands, against a hub on loopback that misbehaves; the cache against huggingface_hub, which fetches from the same hub."""

import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import bad_hub
from herd_run import HERD, Job, run, start

for name in [n for n in os.environ if n.startswith("HF_") or n.lower().endswith("_proxy")]:
    del os.environ[name]  # what tests set is all there is

MODEL = "org/model"
BIG = random.Random(1).randbytes(300_000)
SMALL_MODEL = {"config.json": '{"model_type": "llama"}', "model.safetensors": BIG, "tokenizer.json": "{}", "README.md": "no part of it"}
READ = {"config.json", "model.safetensors", "tokenizer.json"}


def tree(folder, skip=(".locks", ".no_exist")):
    """{path: content, or a link's target} of all files."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(part in skip for part in name.split("/")) or (path.is_dir() and not path.is_symlink()):
            continue
        found[name] = "-> " + os.readlink(path) if path.is_symlink() else path.read_bytes()
    return found


class HubTest(unittest.TestCase):
    def setUp(self):
        self.hub = self.enterContext(bad_hub.Hub())
        self.home = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="herd-fetch-")))
        self.cache = self.home / "hub"

    def environment(self, **more):
        return {"HF_HOME": str(self.home), "HF_ENDPOINT": self.hub.endpoint, **more}

    def fetch(self, *arguments, **environment):
        return run("fetch", *(arguments or (MODEL,)), **self.environment(**environment))

    def fetched(self, *arguments, **environment):
        done = self.fetch(*arguments, **environment)
        self.assertEqual(done.code, 0, done)
        return pathlib.Path(done.output.splitlines()[-1]), done.output

    def refused(self, *words, arguments=(), code=1, **environment):
        done = self.fetch(*arguments, **environment)
        self.assertEqual((done.code, done.output.count("error: ")), (code, 1), done)
        for word in words:
            self.assertIn(word, done.output)
        return done.output

    def files_of(self, folder):
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    def assert_whole(self, folder, name="model.safetensors", content=BIG):
        self.assertEqual((folder / name).read_bytes(), content)

    def assert_nothing_of(self, content):
        """No content under its hash, no revision that points to a part."""
        repo = self.cache / "models--org--model"
        self.assertFalse((repo / "blobs" / bad_hub.etag_of(content)).exists())
        self.assertFalse((repo / "refs/main").exists())

    def python(self, code, **environment):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **self.environment(**environment)})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout


class Layout(HubTest):
    def test_as_huggingface_hub_writes_and_reads_it(self):
        self.hub.model(MODEL, {**SMALL_MODEL, "deep/er/file.txt": "nested", "empty": ""}, revisions=("main", "v1.0", "refs/pr/3"))
        self.hub.dataset("org/data", {"train/a.json": '[{"instruction": "a", "output": "b"}]', "big.jsonl": BIG})
        fetches = [(MODEL, "model", "main"), (MODEL, "model", "v1.0"), (MODEL, "model", "refs/pr/3"), ("org/data", "dataset", "main")]
        for name, kind, revision in fetches:
            self.fetched(name, "--revision", revision, "--include", "*", *(["--dataset"] if kind == "dataset" else []))
        theirs = self.home / "theirs"
        self.python("".join(f"import huggingface_hub as h; h.snapshot_download('{n}', repo_type='{k}', revision='{r}')\n" for n, k, r in fetches),
                    HF_HUB_CACHE=str(theirs))
        self.assertEqual(tree(self.cache), tree(theirs))
        self.assertEqual(len([path for path in tree(self.cache) if "/refs/" in path]), 4)

        # Theirs read ours, with the hub gone; ours read theirs.
        nobody = {"HF_ENDPOINT": "http://127.0.0.1:9"}
        told = self.python("import huggingface_hub as h\n" + "".join(
            f"print(h.snapshot_download('{n}', repo_type='{k}', revision='{r}', local_files_only=True))\n" for n, k, r in fetches)
            + f"print(h.hf_hub_download('{MODEL}', 'deep/er/file.txt', local_files_only=True))", **nobody).split()
        self.assertEqual(pathlib.Path(told[-1]).read_text(), "nested")
        self.hub.forget()
        for (name, kind, revision), place in zip(fetches, told):
            ours, _ = self.fetched(f"{name}@{revision}", "--include", "*", *(["--dataset"] if kind == "dataset" else []), HF_HUB_OFFLINE="1", HF_HUB_CACHE=str(theirs))
            self.assertEqual(ours.relative_to(theirs), pathlib.Path(place).relative_to(self.cache))
        # And with the hub there, nothing that they have is fetched again.
        self.fetched(MODEL, "--include", "*", HF_HUB_CACHE=str(theirs))
        self.assertEqual({r[2] for r in self.hub.asked()}, {f"/api/models/{MODEL}/revision/main"})

    def test_what_huggingface_hub_left_half_done_is_gone_on_with(self):
        self.hub.model(MODEL, SMALL_MODEL)
        blobs = self.cache / "models--org--model/blobs"
        blobs.mkdir(parents=True)
        (blobs / (bad_hub.etag_of(BIG) + ".incomplete")).write_bytes(BIG[:100_000])
        folder, told = self.fetched()
        self.assert_whole(folder)
        self.assertIn("are here already", told)
        self.assertEqual([r[3].get("Range") for r in self.hub.asked("storage")], ["bytes=100000-"])

    def test_places(self):
        self.hub.model(MODEL, SMALL_MODEL)
        for place, environment in [("y", {"HF_HUB_CACHE": "y"}), ("c/huggingface/hub", {"HF_HOME": "", "XDG_CACHE_HOME": "c"})]:
            with self.subTest(place):
                folder, _ = self.fetched(**{name: str(self.home / value) if value else value for name, value in environment.items()})
                self.assertTrue(folder.samefile(next((self.home / place / "models--org--model/snapshots").iterdir())))

    def test_selection(self):
        self.hub.model(MODEL, {**SMALL_MODEL, "pytorch_model.bin": "", "onnx/model.onnx": "", "model.fp16.safetensors": "", "generation_config.json": "{}",
                                      "original/consolidated.00.pth": "", "qwen.tiktoken": ""})
        self.assertEqual(self.files_of(self.fetched()[0]), READ | {"generation_config.json", "qwen.tiktoken"})
        self.hub.model(MODEL, {"config.json": "{}", "pytorch_model.bin.index.json": "{}", "pytorch_model-00001-of-00001.bin": "", "tf_model.h5": ""})
        self.assertEqual(self.files_of(self.fetched()[0]), {"config.json", "pytorch_model.bin.index.json", "pytorch_model-00001-of-00001.bin"})
        self.hub.model(MODEL, {"params.json": "{}", "consolidated.00.pth": "", "consolidated.01.pth": "", "tokenizer.model": "", "checklist.chk": ""})
        self.assertEqual(self.files_of(self.fetched()[0]), {"params.json", "consolidated.00.pth", "consolidated.01.pth", "tokenizer.model"})
        self.hub.model(MODEL, {"adapter_config.json": "{}", "adapter_model.safetensors": "", "adapter_model.bin": "", "training_args.bin": ""})
        self.assertEqual(self.files_of(self.fetched()[0]), {"adapter_config.json", "adapter_model.safetensors"})
        self.hub.model(MODEL, {"config.json": "{}", "model.gguf": ""})
        self.refused("model.gguf", "expected weights", "--include")
        self.assertEqual(self.files_of(self.fetched(MODEL, "--include", "*.gguf", "--include", "*.json")[0]), {"config.json", "model.gguf"})
        self.refused("no file that", arguments=(MODEL, "--include", "*", "--exclude", "*"))
        self.refused("--help", code=2, arguments=("../model",))
        self.refused("one of them", code=2, arguments=(MODEL + "@v1", "--revision", "v2"))

    def test_output_is_a_folder_of_its_own(self):
        self.hub.dataset("org/data", {"train/a.jsonl": BIG, "train/b.txt": "", "c.json": "[]"})
        target = self.home / "out"
        self.fetched("org/data", "--dataset", "--output", target)
        self.assertEqual(tree(target), {"train/a.jsonl": BIG, "c.json": b"[]"})
        self.hub.forget()
        self.refused("something there already", arguments=("org/data", "--dataset", "--output", target))
        self.assertEqual(self.hub.asked(), [])


class Misbehaviour(HubTest):
    def setUp(self):
        super().setUp()
        self.repo = self.hub.model(MODEL, SMALL_MODEL)

    def ranges(self):
        return [r[3].get("Range") for r in self.hub.asked("storage")]

    def test_dropped_connections_are_resumed(self):
        self.hub.trick(bad_hub.drops_after(70_000), times=3)
        self.assert_whole(self.fetched()[0])
        self.assertEqual(self.ranges(), [None, "bytes=70000-", "bytes=140000-", "bytes=210000-"])

    def test_a_killed_fetch_is_resumed(self):
        self.hub.trick(lambda handler, path: (bad_hub.drops_after(120_000)(handler, path), time.sleep(30)))
        started = start("fetch", MODEL, **self.environment())
        incomplete = self.cache / "models--org--model/blobs" / (bad_hub.etag_of(BIG) + ".incomplete")
        end = time.monotonic() + 20
        while not (incomplete.exists() and incomplete.stat().st_size == 120_000) and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(started.process.pid, signal.SIGKILL)
        started.finish()
        self.assert_nothing_of(BIG)
        self.hub.forget()
        self.assert_whole(self.fetched()[0])
        self.assertEqual(self.ranges(), ["bytes=120000-"])

    def test_a_server_without_ranges_begins_again(self):
        self.hub.trick(bad_hub.drops_after(70_000))
        self.hub.trick(bad_hub.ignores_range)
        self.assert_whole(self.fetched()[0])
        self.assertEqual(self.ranges(), [None, "bytes=70000-"])

    def test_a_server_that_only_ever_drops_is_given_up(self):
        self.hub.trick(lambda handler, path: handler.answer(200, BIG[:70_000], length=len(BIG)), times=99)
        self.refused("no whole answer")
        self.assertEqual(len(self.ranges()), 5)  # the first came forward, and so begins the count
        self.assert_nothing_of(BIG)

    def test_wrong_bytes(self):
        self.hub.trick(bad_hub.changes_bytes)
        folder, told = self.fetched()
        self.assert_whole(folder)
        self.assertIn("once more from the start", told)
        shutil.rmtree(self.cache)
        self.hub.trick(bad_hub.changes_bytes, times=2)
        self.refused("file model.safetensors", "bytes of hash", "twice", bad_hub.etag_of(BIG))
        self.assert_nothing_of(BIG)
        self.assertFalse(list(self.cache.rglob("*.incomplete")))

    def test_wrong_bytes_of_a_small_file(self):
        self.hub.trick(lambda handler, _: handler.answer(200, b'{"model_type": "bloom"}', ETag=bad_hub.git_hash(b'{"model_type": "llama"}'), X_Repo_Commit=self.repo.commit),
                       part="config.json", role="hub", times=2)
        self.refused("file config.json", "bytes of hash " + bad_hub.git_hash(b'{"model_type": "bloom"}'))

    def test_a_file_that_changed_under_an_interrupted_fetch(self):
        incomplete = self.cache / "models--org--model/blobs" / (bad_hub.etag_of(BIG) + ".incomplete")
        incomplete.parent.mkdir(parents=True)
        for left in (bytes(100_000), bytes(len(BIG) + 1)):  # other bytes: some, or more than there are
            with self.subTest(len(left)):
                incomplete.write_bytes(left)
                self.assert_whole(self.fetched()[0])
                shutil.rmtree(self.cache / "models--org--model/snapshots")
                (incomplete.parent / bad_hub.etag_of(BIG)).unlink()

    def test_passing_troubles(self):
        self.hub.trick(bad_hub.status(503), role="hub", part="/api/")
        self.hub.trick(bad_hub.status(429, Retry_After="2"), role="hub", command="HEAD", part="config.json")
        self.hub.trick(bad_hub.status(500))
        self.hub.trick(bad_hub.drops_after(0))
        began = time.monotonic()
        folder, told = self.fetched()
        self.assert_whole(folder)
        self.assertGreater(time.monotonic() - began, 2)
        for word in ("HTTP 503; once more in 0.5 s", "HTTP 429; once more in 2 s", "HTTP 500; once more", "; once more in 1 s"):
            self.assertIn(word, told)

    def test_a_hub_that_hangs(self):
        self.hub.trick(bad_hub.hangs(20), role="hub", part="/api/")
        self.hub.trick(bad_hub.hangs(20))
        folder, told = self.fetched(HF_HUB_DOWNLOAD_TIMEOUT="1")
        self.assert_whole(folder)
        self.assertEqual(told.count("once more"), 2, told)

    def test_troubles_that_do_not_pass(self):
        self.hub.trick(bad_hub.status(503), role="hub", times=99)
        self.refused("HTTP 503", self.hub.endpoint, "HF_HUB_OFFLINE")
        self.assertEqual(len(self.hub.asked()), 5)
        self.hub.forget()
        self.hub.trick(bad_hub.status(429, Retry_After="3600"), role="hub", times=99)
        self.refused("HTTP 429, not for 3600 s")
        self.assertNotIn("once more", self.refused("no whole answer from http://127.0.0.1:9", HF_ENDPOINT="http://127.0.0.1:9"))

    def test_short_answers(self):
        self.hub.trick(bad_hub.says_shorter(100_000))
        self.assert_whole(self.fetched()[0])
        self.assertEqual(self.ranges(), [None, "bytes=100000-"])
        shutil.rmtree(self.cache)
        self.hub.trick(lambda handler, _: handler.answer(200, BIG + b"more"))
        self.refused(f"more than {len(BIG)} bytes")
        self.assert_nothing_of(BIG)

    def test_listings_that_lead_elsewhere(self):
        for name in ("../../x.json", "/etc/x.json", "a\nb.json", "n" * 256):  # tests/runtime/net_test.cpp has more
            with self.subTest(name[:40]):
                self.repo.listed = ["config.json", "model.safetensors", name]
                self.refused("a file named ", "a path inside the repository")
                self.assertEqual(self.hub.asked(command="HEAD"), [])
        self.assertEqual([p for p in self.home.rglob("*") if p.is_file()], [])
        self.repo.listed, self.repo.files["n" * 255] = [*SMALL_MODEL, "n" * 255], b"as long as may be"
        self.assertIn("n" * 255, self.files_of(self.fetched(MODEL, "--include", "*")[0]))

    def test_answers_that_make_no_sense(self):
        good = {"ETag": bad_hub.etag_of(b"{}"), "X-Repo-Commit": self.repo.commit}
        for changed, word in [({"ETag": "../../../x"}, "ETag '../../../x'"), ({"X-Repo-Commit": "f" * 40}, "commit ffff")]:
            with self.subTest(word):
                self.hub.trick(lambda handler, _, c=changed: handler.answer(200, b"{}", **{**good, **c}), role="hub", command="HEAD", part="config.json")
                self.refused(word, "file config.json")
        for body, word in [(b"<html>", "lists no commit"), (b'{"sha": "../..", "siblings": []}', "lists no commit")]:
            self.hub.trick(lambda handler, _, b=body: handler.answer(200, b), role="hub", part="/api/")
            self.refused(word)
        self.hub.trick(lambda handler, path: handler.answer(302, Location=handler.path), role="hub", part="/api/", times=99)
        self.refused("more than 10 redirects")

    def test_a_full_disk(self):
        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        done = subprocess.run([HERD, "fetch", MODEL], capture_output=True, text=True, env={**os.environ, **self.environment()}, preexec_fn=small_files, restore_signals=False)
        self.assertEqual((done.returncode, done.stderr.count("error: ")), (1, 1), done)
        self.assertIn("cannot write", done.stderr)
        self.assert_nothing_of(BIG)
        self.assert_whole(self.fetched()[0])

    def test_no_room(self):
        repo = self.hub.model("org/vast", {"config.json": "{}", "model.safetensors": BIG})
        self.hub.trick(lambda handler, _: handler.answer(302, X_Linked_Etag="0" * 64, X_Linked_Size=str(1 << 60), X_Repo_Commit=repo.commit,
                                                            Location=f"http://127.0.0.1:{self.hub.ports['storage']}/"),
                       role="hub", command="HEAD", part="model.safetensors")
        self.refused("of room in", "PiB", "HF_HUB_CACHE", arguments=("org/vast",))
        self.assertEqual(self.hub.asked("storage"), [])

    def test_many_processes_fetch_each_file_once(self):
        self.hub.trick(bad_hub.is_slow(1))
        several = [start("fetch", MODEL, **self.environment()) for _ in range(3)]
        done = [one.finish() for one in several]
        self.assertEqual([one.code for one in done], [0, 0, 0], done)
        self.assertEqual(len(self.ranges()), 1)
        self.assertEqual(len(self.hub.asked("hub", "GET", "config.json")), 1)
        self.assertTrue(any("another process fetches" in one.output for one in done), done)


class Access(HubTest):
    def authorizations(self, role):
        return {r[3].get("Authorization") for r in self.hub.asked(role)}

    def test_the_token_stays_with_the_hub(self):
        self.hub.model(MODEL, SMALL_MODEL, token="secret")
        (self.home / "token").write_text(" secret \n")
        for environment in ({"HF_TOKEN": "secret", "HF_HOME": str(self.home / "empty"), "HF_HUB_CACHE": str(self.cache)}, {}):
            with self.subTest(environment):
                self.hub.forget()
                self.assert_whole(self.fetched(**environment)[0])
                self.assertEqual((self.authorizations("hub"), self.authorizations("storage")), ({"Bearer secret"}, {None}))
                shutil.rmtree(self.cache)

    def test_refusals(self):
        self.hub.model(MODEL, SMALL_MODEL, token="secret")
        self.refused("HTTP 401", "a private one that wants a token", "HF_TOKEN")
        self.refused("a private one that this token does not open", HF_TOKEN="wrong")
        self.refused("none of that name", arguments=("org/nobody",))
        self.refused("no revision 'v9'", HF_TOKEN="secret", arguments=(MODEL, "--revision", "v9"))
        self.hub.model(MODEL, SMALL_MODEL, token="secret", gated=True)
        self.refused("gated", f"accept them at {self.hub.endpoint}/{MODEL}")
        self.refused("gated", HF_TOKEN="wrong")
        self.hub.trick(bad_hub.status(404), role="hub", command="HEAD", part="tokenizer.json")
        self.refused("HTTP 404", HF_TOKEN="secret")
        self.hub.trick(lambda handler, _: handler.answer(403, X_Error_Message="blocked\x1b[2J here"), role="hub", part="/api/")
        self.assertNotIn("\x1b", self.refused("HTTP 403: blocked[2J here"))
        self.refused("HF_ENDPOINT", code=2, HF_ENDPOINT="ftp://x")

    def test_offline(self):
        self.hub.model(MODEL, SMALL_MODEL)
        self.refused("not in the cache", "herd fetch org/model", HF_HUB_OFFLINE="1")
        folder, _ = self.fetched()
        self.hub.forget()
        self.assertEqual(self.fetched(HF_HUB_OFFLINE="1")[0], folder)
        self.refused("not in the cache", HF_HUB_OFFLINE="1", arguments=(MODEL, "--revision", "v2"))
        self.assertEqual(self.hub.asked(), [])


class Commands(HubTest):
    """Ids wherever a folder does."""

    @classmethod
    def setUpClass(cls):
        cls.job = Job()
        cls.addClassCleanup(cls.job.close)
        cls.model = cls.job.folder / "model"
        made = run("model", "init", cls.model, "family=llama", "hidden_size=32", "intermediate_size=64", "num_hidden_layers=2", "num_attention_heads=4",
                   "max_position_embeddings=192", f"tokenizer={cls.job.folder}/tokenizer")
        assert made.code == 0, made
        (cls.job.folder / "recipe.yaml").write_text(f"""\
model: {{path: {MODEL}, threads: 1}}
data: {{sets: [hub:org/data/train/data.json], max_tokens: 192}}
peft: {{method: lora, r: 2}}
train: {{max_steps: 2, global_batch_size: 4, micro_batch_size: 2}}
run: {{folder: {cls.job.folder}/runs, plot: false, tensorboard: false}}
""")

    def setUp(self):
        super().setUp()
        self.hub.model(MODEL, {path.name: path.read_bytes() for path in self.model.iterdir()})
        self.hub.dataset("org/data", {"train/data.json": (self.job.folder / "data.json").read_bytes(), "other.json": "[]"})

    def herd(self, *arguments, ranks=0, **environment):
        return run(*arguments, ranks=ranks, **self.environment(**environment))

    def good(self, *arguments, **more):
        done = self.herd(*arguments, **more)
        self.assertEqual(done.code, 0, done)
        return done.output

    def train(self, name, *overrides, ranks=2, **environment):
        return self.herd("train", self.job.folder / "recipe.yaml", f"run.name={name}", *overrides, ranks=ranks, **environment)

    def losses(self, name):
        return self.job.metrics(name)

    def test_two_ranks_fetch_once_and_train_as_from_folders(self):
        self.hub.trick(bad_hub.is_slow(7))  # longer than any operation may take
        done = self.train("by-id", "parallel.load_timeout_s=5")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(len(self.hub.asked("hub", "GET", "/api/")), 2, "one rank asks")
        self.assertEqual(len(self.hub.asked("storage", "GET")), len({r[2] for r in self.hub.asked("storage", "GET")}))
        by_folder = self.train("by-folder", f"model.path={self.model}", f"data.sets={self.job.folder}/data.json")
        self.assertEqual(by_folder.code, 0, by_folder)
        self.assertEqual(self.losses("by-id"), self.losses("by-folder"))
        # What a run writes names the model as others know it.
        run_folder = self.job.run_folder("by-id")
        self.assertEqual(json.loads((run_folder / "adapter/adapter_config.json").read_text())["base_model_name_or_path"], MODEL)
        self.assertIn(f"path: {MODEL} ", (run_folder / "config.yaml").read_text())
        self.assertIn("/snapshots/" + self.hub.repos["models", MODEL].commit, (run_folder / "log.txt").read_text())
        self.good("checkpoint", "consolidate", run_folder, self.home / "consolidated")

        # The adapter, by its own id, on the base by its id: merged, generated with, gone on from.
        self.hub.model("org/adapter", {path.name: path.read_bytes() for path in (run_folder / "adapter").iterdir()})
        folders = ("--model", self.model, "--adapter", run_folder / "adapter")
        ids = ("--model", MODEL, "--adapter", "org/adapter")
        ask = ("generate", "--prompt", "Count", "--max-new-tokens", "8")
        without_log = lambda text: [line for line in text.splitlines() if not line.startswith("[")]
        self.assertEqual(without_log(self.good(*ask, *ids)), without_log(self.good(*ask, *folders)))
        self.assertNotIn("warning", self.good(*ask, *ids))
        self.good("merge", *ids, "--output", self.home / "merged")
        self.assertIn("going on from adapter", self.good("train", self.job.folder / "recipe.yaml", "run.name=on", "peft.adapter=org/adapter", "peft.r=2"))

    def test_a_failed_fetch_ends_all_ranks_with_one_message(self):
        began = time.monotonic()
        self.hub.trick(bad_hub.status(404), role="hub", command="HEAD", part="model.safetensors", times=9)
        done = self.train("failed")
        self.assertNotEqual(done.code, 0)
        self.assertEqual(done.output.count("error: "), 1, done)
        self.assertIn("model.path: model org/model@main, file model.safetensors: HTTP 404", done.output)
        self.assertLess(time.monotonic() - began, 30)
        self.assertFalse(self.job.run_folder("failed").exists())
        self.assertEqual(len(self.hub.asked(command="HEAD", part="model.safetensors")), 1, "one rank asks, once")

    def test_other_commands(self):
        recipe = self.job.folder / "recipe.yaml"
        self.assertIn("2 ranks", self.good("plan", recipe, "--ranks", "2"))
        self.assertEqual(self.hub.asked(part="model.safetensors"), [], "a plan needs no weights")
        self.good("data", "audit", recipe)
        self.assertIn("fits", self.good("model", "inspect", MODEL))
        self.good("model", "convert", MODEL, self.home / "converted", "--dtype", "bf16")
        self.good("model", "init", self.home / "random", f"tokenizer={MODEL}", "hidden_size=32", "intermediate_size=64", "num_hidden_layers=1", "num_attention_heads=4")
        self.good("train", recipe, "run.name=tokenizer", f"model.tokenizer={MODEL}")

    def test_data_sets(self):
        recipe = self.job.folder / "recipe.yaml"
        commit = self.hub.repos["datasets", "org/data"].commit
        self.good("data", "audit", recipe, f"data.sets=hub:org/data@{commit}/train/data.json")
        for entry, *words in [("hub:org/data", "2 files of records", "train/data.json, other.json"), ("hub:org/data/no.json", "no file 'no.json'"), ("hub:org/nobody/x.json", "none of that name")]:
            done = self.herd("data", "audit", recipe, f"data.sets={entry}")
            self.assertEqual(done.code, 1, done)
            for word in ("data.sets: ", *words):
                self.assertIn(word, done.output)
        for entry in ("hub:x", "hub:org/data/../x.json"):
            self.assertEqual(self.herd("data", "audit", recipe, f"data.sets={entry}").code, 2)
        self.hub.dataset("org/one", {"only.jsonl": "\n".join(json.dumps(record) for record in self.job.records), "README.md": ""})
        self.good("data", "audit", recipe, "data.sets=hub:org/one")

    def test_a_folder_of_that_name_wins(self):
        (self.home / "org").mkdir()
        shutil.copytree(self.model, self.home / MODEL)
        done = subprocess.run([HERD, "model", "inspect", MODEL], cwd=self.home, capture_output=True, text=True, env={**os.environ, **self.environment()})
        self.assertEqual((done.returncode, self.hub.asked()), (0, []), done)
        done = self.herd("model", "inspect", "org/modle")
        self.assertEqual(done.code, 1, done)
        self.assertIn("nothing here is called 'org/modle'", done.output)

    def test_what_was_fetched_before_does_where_the_hub_is_away(self):
        nobody = {"HF_ENDPOINT": "http://127.0.0.1:9"}
        self.assertEqual(self.herd("model", "inspect", MODEL, **nobody).code, 1)
        folder, _ = self.fetched()
        told = self.good("model", "inspect", MODEL, **nobody)
        self.assertIn("warning: ", told)
        self.assertIn(f"going on with what was fetched before: commit {folder.name}", told)
        self.assertNotIn("warning", self.good("model", "inspect", MODEL, HF_HUB_OFFLINE="1"))

    def test_transformers_loads_what_herd_fetched_and_herd_what_transformers_fetched(self):
        self.fetched()
        logits = self.python(f"""
import transformers, torch
model = transformers.AutoModelForCausalLM.from_pretrained('{MODEL}', local_files_only=True)
tokenizer = transformers.AutoTokenizer.from_pretrained('{MODEL}', local_files_only=True)
print(len(tokenizer), model(torch.arange(8)[None]).logits.shape)""", HF_HUB_OFFLINE="1")
        self.assertIn("torch.Size([1, 8,", logits)
        theirs = self.home / "theirs"
        self.python(f"""
import transformers
transformers.AutoModelForCausalLM.from_pretrained('{MODEL}')
transformers.AutoTokenizer.from_pretrained('{MODEL}')""", HF_HUB_CACHE=str(theirs))
        self.hub.forget()
        self.assertIn("fits", self.good("model", "inspect", MODEL, HF_HUB_CACHE=str(theirs), HF_HUB_OFFLINE="1"))
        self.assertEqual(self.hub.asked(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
