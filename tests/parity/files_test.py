"""herd's file formats against the libraries that define them: safetensors written by Hugging Face's library and read by herd,
and back; what torch.save writes, and back; HDF5 written by herd and read by h5py, and back."""

import argparse
import collections
import os
import struct
import subprocess
import time
import unittest
import zipfile

from herd_probe import ASSETS, BINARIES, Runs, Scratch

import h5py
import numpy
import safetensors
import torch
from safetensors.torch import load_file, save_file

MODELS = ASSETS / "models"

# All that both sides can hold; U16 to U64 are torch's from 2.3 on.
DTYPES = [torch.bool, torch.uint8, torch.int8, torch.float8_e5m2, torch.float8_e4m3fn, torch.int16, torch.uint16, torch.float16, torch.bfloat16,
          torch.int32, torch.uint32, torch.float32, torch.complex64, torch.float64, torch.int64, torch.uint64]


def probe(*arguments):
    done = subprocess.run([str(BINARIES / "safetensors_probe"), *map(str, arguments)], capture_output=True, text=True)
    return done.returncode, done.stderr


def opened(path):
    """What opening the file says, seconds, and peak resident bytes."""
    began = time.monotonic()
    process = subprocess.Popen([str(BINARIES / "safetensors_probe"), "--open", str(path)], stdout=subprocess.PIPE, text=True)
    with process.stdout:
        said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return said, time.monotonic() - began, usage.ru_maxrss * 1024


def bits(dtype, *shape):
    """Arbitrary bit patterns, NaNs included."""
    count = int(torch.tensor(shape).prod()) if shape else 1
    if dtype == torch.bool:
        return (torch.arange(count) % 3 == 0).reshape(shape)
    width = torch.empty(0, dtype=dtype).element_size()
    return torch.randint(0, 256, (count * width,), dtype=torch.uint8).view(dtype).reshape(shape)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a.reshape(-1).view(torch.uint8), b.reshape(-1).view(torch.uint8))


class Safetensors(Scratch):
    def setUp(self):
        super().setUp()
        torch.manual_seed(3)

    def assert_same_tensors(self, found, expected):
        self.assertEqual(found.keys(), expected.keys())
        for name, tensor in expected.items():
            self.assertTrue(same(found[name], tensor), name)

    def test_every_dtype_byte_for_byte(self):
        tensors = {f"layer.{i}.{str(d)[6:]}": bits(d, *shape) for d in DTYPES for i, shape in enumerate([(3, 7), (1,), (2, 2, 5)])}
        tensors.update({"scalar": torch.tensor(2.5), "empty": torch.empty(0, 4), "名字 \"é\\": bits(torch.float32, 4)})
        save_file(tensors, self.folder / "a.safetensors", metadata={"format": "pt"})
        self.assertEqual(probe(self.folder / "a.safetensors", self.folder / "b.safetensors"), (0, ""))
        self.assertEqual((self.folder / "b.safetensors").read_bytes(), (self.folder / "a.safetensors").read_bytes())
        self.assert_same_tensors(load_file(self.folder / "b.safetensors"), tensors)

    def test_shards_open_in_transformers(self):
        from transformers import LlamaConfig, LlamaForCausalLM

        config = LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
        model = LlamaForCausalLM(config)
        model.save_pretrained(self.folder / "hf", max_shard_size="20KB")
        self.assertTrue((self.folder / "hf/model.safetensors.index.json").exists())
        self.assertEqual(probe(self.folder / "hf", self.folder / "herd", 30000), (0, ""))
        self.assertGreater(len(list((self.folder / "herd").glob("*.safetensors"))), 1)
        config.save_pretrained(self.folder / "herd")
        again = LlamaForCausalLM.from_pretrained(self.folder / "herd")
        self.assert_same_tensors(again.state_dict(), model.state_dict())

    def test_real_models(self):
        if not MODELS.exists():
            self.skipTest(f"no {MODELS}")
        files = sorted(p for p in MODELS.glob("*/*.safetensors") if p.stat().st_size < 50e6)
        self.assertTrue(files)
        for path in files:
            with self.subTest(path.parent.name):
                self.assertEqual(probe(path, self.folder / "copy.safetensors"), (0, ""))
                self.assert_same_tensors(load_file(self.folder / "copy.safetensors"), load_file(path))

    def test_both_refuse_the_same_broken_files(self):
        good = self.folder / "good.safetensors"
        save_file({"a": torch.arange(6.0), "b": torch.arange(5)}, good)
        whole = good.read_bytes()
        broken = [whole[:n] for n in (0, 7, 8, 40, len(whole) - 1)] + [whole + b"x", b"\xff" * 8 + whole[8:], whole.replace(b'"F32"', b'"F33"'),
                  whole.replace(b"[6]", b"[7]"), whole[:8] + b"[" + whole[9:], whole.replace(b'"b"', b'"a"')]
        deep = b'{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"
        broken.append(struct.pack("<Q", len(deep)) + deep)
        for number, content in enumerate(broken):
            path = self.folder / f"broken-{number}.safetensors"
            path.write_bytes(content)
            code, error = probe(path, self.folder / "copy.safetensors")
            self.assertEqual(code, 1, number)
            self.assertIn(str(path), error)
            with self.assertRaises(safetensors.SafetensorError, msg=str(number)):
                load_file(path)


class TorchFiles(Scratch):
    def setUp(self):
        super().setUp()
        torch.manual_seed(4)
        self.file = self.folder / "pytorch_model.bin"

    assert_same_tensors = Safetensors.assert_same_tensors

    def read(self, value=None, **options):
        """What herd reads of the file, which is made of `value` first."""
        if value is not None:
            torch.save(value, self.file, **options)
        code, error = probe(self.file, self.folder / "read.safetensors")
        self.assertEqual((code, error), (0, ""))
        return load_file(self.folder / "read.safetensors")

    def refused(self, value=None, **options):
        if value is not None:
            torch.save(value, self.file, **options)
        code, error = probe(self.file, self.folder / "read.safetensors")
        self.assertEqual(code, 1, error)
        self.assertTrue(error.startswith(str(self.file)), error)
        return error

    def test_every_dtype_bit_for_bit(self):
        tensors = {f"layer.{i}.{str(d)[6:]}": bits(d, *shape) for d in DTYPES for i, shape in enumerate([(3, 7), (1,), (2, 2, 5)])}
        tensors.update({"scalar": torch.tensor(2.5), "empty": torch.empty(0, 4), "名字 \"é": bits(torch.float32, 4)})
        for protocol in (2, 4, 5):
            self.assert_same_tensors(self.read(tensors, pickle_protocol=protocol), tensors)

    def test_strides_offsets_and_shared_storages(self):
        x = torch.randn(6, 10)
        tensors = {"whole": x, "transposed": x.t(), "rows": x[2:5], "columns": x[:, 3:7], "every other": x[::2, ::3], "one": x[4, 9], "tail": x.view(-1)[17:],
                   "cube": torch.randn(2, 3, 4).permute(2, 0, 1), "wide": x[:, None].transpose(0, 2)}
        self.assert_same_tensors(self.read(tensors), {k: v.contiguous() for k, v in tensors.items()})

    def test_all_that_holds_a_state_dict(self):
        tensors = {"a.weight": torch.randn(3, 2), "b": torch.arange(4)}
        module = torch.nn.Linear(3, 2)
        adam = torch.optim.AdamW(module.parameters())
        module(torch.ones(1, 3)).sum().backward()
        adam.step()
        state = module.state_dict()
        forms = {
            "ordered": (collections.OrderedDict(tensors), tensors),
            "a module's, with _metadata": (state, state),
            "parameters": ({k: torch.nn.Parameter(v, requires_grad=False) for k, v in tensors.items()}, tensors),
            "beside other values": ({**tensors, "step": 3, "name": "x", "none": None, "ratio": 0.5, "yes": True, "big": 1 << 70, "size": torch.Size([1])}, tensors),
            "model": ({"optimizer": adam.state_dict(), "model": state, "model_args": {"dim": 3, "names": ["a", ("b",)]}, "loss": -1.5}, state),
            "model, beside a tensor": ({"model": tensors, "best": torch.tensor(1.0)}, tensors),
            "state_dict": ({"state_dict": state, "dtype": torch.float16}, state),
            "the only one": ({"weights": tensors}, tensors),
            "compiled": ({f"_orig_mod.{k}": v for k, v in tensors.items()}, tensors),
            "parallel": ({f"module.{k}": v for k, v in tensors.items()}, tensors),
        }
        for title, (value, expected) in forms.items():
            with self.subTest(title):
                self.assert_same_tensors(self.read(value), expected)

    def test_a_pickle_that_calls_is_refused_by_name_and_does_nothing(self):
        ran = self.folder / "ran"
        for value in ({"a": torch.ones(2), "b": Runs(ran)}, Runs(ran), {"model": {"a": torch.ones(2)}, "args": argparse.Namespace(x=1)}):
            for protocol in (2, 4):
                error = self.refused(value, pickle_protocol=protocol)
                self.assertRegex(error, r"'(posix\.system|argparse\.Namespace)'")
                self.assertIn("nothing of it has been run", error)
        self.assertFalse(ran.exists())

    def test_what_is_no_weights_is_refused_with_advice(self):
        self.assertIn("no dict of tensors", self.refused({"a": 1}))
        self.assertIn("no dict of tensors", self.refused(torch.ones(3)))
        self.assertIn("under 'x', 'y'", self.refused({"x": {"a": torch.ones(1)}, "y": {"a": torch.ones(1)}}))
        self.assertIn("saved expanded", self.refused({"a": torch.ones(1).expand(5)}))
        old = self.refused({"a": torch.ones(2)}, _use_new_zipfile_serialization=False)
        self.assertIn("before PyTorch 1.6", old)
        self.assertIn("torch.save(torch.load(FILE, weights_only=True), NEW_FILE)", old)
        with zipfile.ZipFile(self.file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x/data.pkl", b"\x80\x02}." * 100)
        self.assertIn("compressed", self.refused())
        with zipfile.ZipFile(self.file, "w") as archive:
            archive.writestr("x/else", b"")
        self.assertIn("no data.pkl", self.refused())

    def test_hostile_pickles_are_one_clear_error(self):
        """Each is a whole archive with a right checksum: only the pickle is bad."""
        tensor = (b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ"
                  b"%s%s%s\x89}tR")
        n = lambda value: b"\x8a\x08" + value.to_bytes(8, "little", signed=True)
        rebuilt = lambda offset, shape, strides: b"}X\x01\x00\x00\x00a" + tensor % (n(offset), b"(" + b"".join(map(n, shape)) + b"t",
                                                                                     b"(" + b"".join(map(n, strides)) + b"t") + b"s."
        cases = {
            "behind the storage": (rebuilt(1, (2, 3), (3, 1)), "inside its storage of 6"),
            "an offset far away": (rebuilt(1 << 62, (1,), (1,)), "inside its storage"),
            "a negative offset": (rebuilt(-1, (1,), (1,)), "offset of -1"),
            "a stride that reaches outside": (rebuilt(0, (2, 2), (5, 1)), "inside its storage"),
            "a negative stride": (rebuilt(5, (2,), (-1,)), "size or stride that is no count"),
            "a stride that overflows": (rebuilt(0, (3,), (1 << 62,)), "inside its storage"),
            "sizes that overflow": (rebuilt(0, (1 << 40, 1 << 40), (0, 0)), "inside its storage"),
            "endless by strides of 0": (rebuilt(0, (1 << 50,), (0,)), "saved expanded"),
            "more sizes than strides": (rebuilt(0, (2, 3), (1,)), "2 sizes and 1 strides"),
            "too many dims": (rebuilt(0, (1,) * 65, (1,) * 65), "65 sizes"),
            "a storage that is not there": (rebuilt(0, (6,), (1,)).replace(b"\x01\x00\x00\x000", b"\x01\x00\x00\x007"), "no 'data/7'"),
            "a storage of another length": (rebuilt(0, (6,), (1,)).replace(b"FloatStorage", b"DoubleStorage"), "24 bytes of storage; expected 48"),
            "a storage without end": (rebuilt(0, (6,), (1,)).replace(b"K\x06", n((1 << 62) + 6)), "fits memory"),
            "another kind of storage": (rebuilt(0, (6,), (1,)).replace(b"FloatStorage", b"QUInt8Storage"), "'torch.QUInt8Storage'"),
            "eval": (b"cbuiltins\neval\nX\x01\x00\x00\x001\x85R.", "'builtins.eval'"),
            "a module of torch's": (b"ctorch.hub\nload\n.", "'torch.hub.load'"),
            "a text without end": (b"X\xff\xff\xff\xff.", "cut off"),
            "a text of 2^63": (b"\x8d" + b"\xff" * 8 + b".", "cut off"),
            "no stop": (b"}", "cut off"),
            "nothing": (b"", "cut off"),
            "nothing to pop": (b"0.", "without its operands"),
            "nothing to stop with": (b".", "without its operands"),
            "below the mark": (b"}(s.", "without its operands"),
            "no mark": (b"}t.", "without its mark"),
            "half an item": (b"}(Nu.", "a key without its value"),
            "items of a number": (b"K\x01(NNu.", "what is no dict"),
            "a number's attributes": (b"K\x01}b.", "what is no dict"),
            "a memo never kept": (b"h\x05.", "never kept"),
            "a call of a number": (b"K\x01)R.", "a call of what is no function"),
            "a call of a kind of storage": (b"ctorch\nFloatStorage\n)R.", "a call of what is no function"),
            "a call with nothing": (b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "a storage as number 1"),
            "an id of nothing": (b"NQ.", "'storage' as number 1"),
            "an object": (b"(i__main__\nX\n.", "operation 0x69"),
            "a dict in itself": (b"}q\x00X\x01\x00\x00\x00ah\x00s.", "no dict of tensors"),
            "nested a million times": (b"N" + b"\x85" * 1_000_000 + b".", "no dict of tensors"),
            "lists doubled a thousand times": (b"]" + b"q\x00(h\x00h\x00t" * 1000 + b".", "no dict of tensors"),
            "a memo at the end of numbers": (b"}r\xff\xff\xff\xff.", "no dict of tensors"),
            "one tuple for many tensors": (b"(" + n(1) * 100_000 + b"tq\x000}" + tensor % (n(0), b"h\x00", b"h\x00") + b".", "100000 sizes"),
            "a million values": (b"(" + b"}" * 1_000_000 + b"t.", "no dict of tensors"),
        }
        files = [self.folder / f"{number}.bin" for number in range(len(cases))]
        for file, (text, _) in zip(files, cases.values()):
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("x/data.pkl", b"\x80\x02" + text)
                archive.writestr("x/data/0", bytes(24))
        done = subprocess.run([str(BINARIES / "safetensors_probe"), "--open", *files], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for file, found, (title, (_, words)) in zip(files, done.stdout.splitlines(), cases.items(), strict=True):
            with self.subTest(title):
                self.assertTrue(found.startswith(f"{file}"), found)
                self.assertIn(words, found)

    def test_what_is_named_many_times_is_held_once(self):
        """A few bytes of a pickle can name a long value again. Where it were copied each time, these files of some 200 KB took gigabytes."""
        text = lambda s: b"X" + struct.pack("<I", len(s)) + s
        keep, again = lambda i: b"r" + struct.pack("<I", i), lambda i: b"h" + bytes([i])
        storage = lambda key: b"(" + text(b"storage") + b"ctorch\nFloatStorage\n" + key + text(b"cpu") + b"K\x06t"
        tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage(text(b"0")) + b"QK\x00(K\x06t(K\x01t\x89}tR" + keep(0) + b"0"
        names = [b"%05d" % i for i in range(10_000)]
        tensors = b"}(" + b"".join(text(name) + again(0) for name in names) + b"u" + keep(1) + b"0"
        cases = {
            "a storage's key": (storage(text(b"7" * 100_000)) + keep(0) + b"0" + (again(0) + b"Q0") * 25_000 + b"}.", "the key '777"),
            "sizes": (b"(" + b"N" * 100_000 + b"t" + keep(0) + b"\x85" + keep(1) + b"0ctorch\nSize\n" + keep(2) + b"0" +
                      (again(2) + again(1) + b"R0") * 20_000 + b"}.", "no dict of tensors"),
            "a dict": (tensor + tensors + b"}(" + b"".join(text(name) + again(1) for name in names) + b"u.", "under '00000', '00001'"),
            "a key": (tensor + text(b"x" * 100_000) + keep(1) + b"0}(" + (again(1) + again(0)) * 25_000 + b"u.", "it is there twice"),
            "a key of dicts": (tensor + tensors + text(b"x" * 100_000) + keep(2) + b"0}(" + (again(2) + again(1)) * 19_000 + b"u.", "under 'xxx"),
            "what is called": (text(b"x" * 200_000) + keep(0) + again(0) + b"\x93.", "no tensor needs: 'xxx"),
        }
        _, _, idle = opened("/dev/null")
        for title, (pickle, words) in cases.items():
            with self.subTest(title):
                self.assertLess(len(pickle), 300_000)
                with zipfile.ZipFile(self.file, "w") as archive:
                    archive.writestr("x/data.pkl", b"\x80\x02" + pickle)
                    archive.writestr("x/data/0", bytes(24))
                said, seconds, peak = opened(self.file)
                self.assertIn(words, said)
                self.assertLess(len(said), 1500)
                # 100 bytes for each of a pickle's are 30 MB; and a second or two go into starting the program on a busy machine.
                self.assertLess(peak - idle, 40e6)
                self.assertLess(seconds, 20)

    def test_a_changed_byte_or_a_cut_is_told(self):
        torch.save({"a": torch.arange(4.0), "b": torch.arange(6).view(2, 3).t()}, self.file)
        done = subprocess.run([str(BINARIES / "safetensors_probe"), self.file, "--flip"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        counts = {line.rsplit(" ", 1)[0]: int(line.rsplit(" ", 1)[1]) for line in done.stdout.splitlines()}
        self.assertEqual(counts["told by verify"], 2 * (4 * 4 + 6 * 8))  # each byte of the tensors, twice
        self.assertGreater(counts["error"], counts["same"])

    def test_real_models(self):
        if not MODELS.exists():
            self.skipTest(f"no {MODELS}")
        for path in ("tiny-random-llama-bin/pytorch_model.bin", "stories260k/stories260K.pt", "meta-random/demo_rand_params.pth"):
            with self.subTest(path):
                stored = torch.load(MODELS / path, weights_only=True)
                stored = stored.get("model", stored)
                self.file.unlink(missing_ok=True)
                self.file.symlink_to(MODELS / path)
                self.assert_same_tensors(self.read(), {k.removeprefix("_orig_mod."): v.contiguous() for k, v in stored.items()})

    def test_torch_reads_what_herd_writes(self):
        tensors = {f"{str(d)[6:]}.{i}": bits(d, *shape) for d in DTYPES for i, shape in enumerate([(3, 7), (1,)])
                   if d in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.float16, torch.bfloat16, torch.int32, torch.float32, torch.float64, torch.int64)}
        tensors.update({"scalar": torch.tensor(2.5), "empty": torch.empty(0, 4), "名字": bits(torch.float32, 4)})
        save_file(tensors, self.folder / "a.safetensors")
        self.assertEqual(probe(self.folder / "a.safetensors", self.folder / "b.pth"), (0, ""))
        for options in ({}, {"mmap": True}):
            self.assert_same_tensors(torch.load(self.folder / "b.pth", weights_only=True, **options), tensors)
        self.assertIsNone(zipfile.ZipFile(self.folder / "b.pth").testzip())
        self.file.symlink_to(self.folder / "b.pth")
        self.assert_same_tensors(self.read(), tensors)
        save_file({"f8": bits(torch.float8_e5m2, 4)}, self.folder / "c.safetensors")
        self.assertIn("'f8': F8_E5M2", probe(self.folder / "c.safetensors", self.folder / "c.pth")[1])


class Hdf5(Scratch):
    # What each dtype lies as: HDF5 has no bf16 or bool of its own.
    STORED = {torch.float32: "<f4", torch.float64: "<f8", torch.int64: "<i8", torch.int32: "<i4", torch.int16: "<i2", torch.int8: "i1",
              torch.uint8: "u1", torch.bool: "u1", torch.bfloat16: "<u2", torch.float16: "<u2", torch.uint16: "<u2"}
    NAMES = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
             torch.uint8: "U8", torch.bool: "BOOL", torch.bfloat16: "BF16", torch.float16: "F16", torch.uint16: "U16"}

    def setUp(self):
        super().setUp()
        torch.manual_seed(5)
        self.tensors = {f"value/layer.{i}.{NAME}": bits(d, n) for i, n in enumerate([1, 37, 1000]) for d, NAME in self.NAMES.items()}

    def test_h5py_reads_what_herd_wrote(self):
        save_file(self.tensors, self.folder / "a.safetensors")
        self.assertEqual(probe(self.folder / "a.safetensors", self.folder / "a.h5"), (0, ""))
        with h5py.File(self.folder / "a.h5") as file:
            self.assertEqual(file.attrs["format"], "herd 格式".encode())
            for name, tensor in self.tensors.items():
                found = file[name]
                self.assertEqual((found.dtype.str.lstrip("|"), found.shape), (self.STORED[tensor.dtype], (tensor.numel(),)), name)
                self.assertEqual(found.attrs["dtype"].decode(), self.NAMES[tensor.dtype])
                self.assertEqual(found[()].tobytes(), tensor.view(torch.uint8).numpy().tobytes(), name)

    def test_herd_reads_what_h5py_wrote(self):
        with h5py.File(self.folder / "a.h5", "w") as file:
            for name, tensor in self.tensors.items():
                stored = file.create_dataset(name, data=numpy.frombuffer(tensor.view(torch.uint8).numpy().tobytes(), self.STORED[tensor.dtype]))
                stored.attrs["dtype"] = numpy.bytes_(self.NAMES[tensor.dtype])
        self.assertEqual(probe(self.folder / "a.h5", self.folder / "b.safetensors"), (0, ""))
        found = load_file(self.folder / "b.safetensors")
        self.assertEqual(found.keys(), self.tensors.keys())
        for name, tensor in self.tensors.items():
            self.assertTrue(same(found[name], tensor), name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
