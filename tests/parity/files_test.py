"""herd's file formats against the libraries that define them: safetensors written by Hugging Face's library and read by herd,
and back; HDF5 written by herd and read by h5py, and back."""

import subprocess
import unittest

from herd_probe import ASSETS, BINARIES, Scratch

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
        for number, content in enumerate(broken):
            path = self.folder / f"broken-{number}.safetensors"
            path.write_bytes(content)
            code, error = probe(path, self.folder / "copy.safetensors")
            self.assertEqual(code, 1, number)
            self.assertIn(str(path), error)
            with self.assertRaises(safetensors.SafetensorError, msg=str(number)):
                load_file(path)


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
