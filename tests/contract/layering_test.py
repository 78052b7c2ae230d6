#!/usr/bin/env python3
"""Reads every #include of the house against its walls, and that no two files define one type; standard library only, so that it runs anywhere.

The table is docs' picture of the house: launch > train, infer, sweep > models, peft, parallel, data > runtime.
Before it judges the house it judges invented violations, so that it cannot pass by seeing nothing.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIBLINGS = {"models", "peft", "parallel", "data"}
MAY_INCLUDE = {
    "runtime": {"runtime"},
    **{room: {room, "runtime"} for room in SIBLINGS},
    "train": {"train", "runtime"} | SIBLINGS,
    "infer": {"infer", "runtime"} | SIBLINGS,
    "sweep": {"sweep", "runtime"},
    "launch": {"launch", "train", "infer", "sweep", "runtime"} | SIBLINGS,
}
EVERYTHING = set(MAY_INCLUDE) | {"tests", "bench"}
MAY_INCLUDE |= {"tests": EVERYTHING, "bench": EVERYTHING, "cmake": set()}

# Headers of outside libraries that stay behind a wall: (header, files that may include it).
OWNED = [
    (r"mpi\.h", r"parallel/.*\.cpp"),
    (r"nccl\.h", r"parallel/comm/nccl_link\.cpp"),
    (r"(cuda|cublas|c10/cuda/|ATen/cuda/).*\.h", r"(parallel/comm/nccl_.*|runtime/nn/quantised_device)\.(h|cpp|cu)"),  # the CUDA module alone
    (r"(hdf5|H5\w*)\.h(pp)?", r"runtime/tensor/.*\.cpp|parallel/checkpoint(/.*|\w*)\.cpp"),
    (r"curl/.*", r"runtime/net/http\.cpp"),
    (r"openssl/.*", r"runtime/base/digest\.cpp"),
    (r"yaml-cpp/.*", r"runtime/base/.*\.cpp"),
    (r"httplib\.h", r"infer/server/(connection|connection_threads|http_server)\.(h|cpp)"),
    (r"histedit\.h", r"launch/line_editor\.cpp"),
    (r"CLI/.*", r"launch/.*\.cpp|bench/.*\.cpp"),
    (r"torch/(torch|all)\.h", r"$^"),  # 20 s a file: ATen and torch/csrc/autograd hold all that herd needs
]
TESTS = r"tests/.*\.cpp"  # tests may look behind every wall but the last

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
SUFFIXES = {".h", ".hpp", ".cpp", ".cu", ".cuh"}


def violations(name, text, exists=lambda path: (ROOT / path).is_file()):
    """The complaints about one file: `name` is its path from the root."""
    room = name.split("/")[0]
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quoted, outside = match.groups()
        where = f"{name}:{number}: "
        header = quoted or outside
        target = header.split("/")[0]
        for pattern, owners in OWNED:
            if not re.fullmatch(pattern, header) or re.fullmatch(owners, name):
                continue
            if re.fullmatch(TESTS, name) and owners != r"$^":
                continue
            found.append(where + f"<{header}> " + ("is for no file" if owners == r"$^" else f"is not for this file; it stays in {owners}"))
        if outside and target in EVERYTHING and exists(header):
            found.append(where + f'<{header}> is ours: write "{header}"')
        if not quoted:
            continue
        if room not in MAY_INCLUDE:
            found.append(where + f"the folder '{room}' is not in the table of the house")
        elif target not in EVERYTHING or "/" not in quoted or ".." in quoted:
            found.append(where + f'"{quoted}" does not begin with a folder of the house')
        elif target not in MAY_INCLUDE[room]:
            found.append(where + f'{room} may not include {target} ("{quoted}")')
        elif not exists(quoted):
            found.append(where + f'there is no "{quoted}"')
    return found


def types_defined(text):
    """Types at a file's outermost level that other files can see: not those of unnamed namespaces. Nested ones (A::B) go with their owner."""
    found, namespaces = [], []
    for line in text.splitlines():
        if match := re.match(r"(?:inline )?namespace\b\s*([\w:]*)\s*{$", line):
            namespaces.append(match[1])
        elif line.startswith("}  // namespace") and namespaces:
            namespaces.pop()
        elif (match := re.match(r"(?:class|struct|union|enum(?: class)?) (\w+)(?: final)?(?: : [^;]*)? {", line)) and "" not in namespaces:
            found.append("::".join([*namespaces, match[1]]))
    return found


def twice_defined(files):
    """Complaints about types that two of the (name, text) define: linked into one program, the functions of one would run on the other."""
    homes = {}
    for name, text in files:
        for defined in types_defined(text):
            homes.setdefault(defined, []).append(name)
    return [f"{defined} is defined in {' and in '.join(names)}" for defined, names in homes.items() if len(names) > 1]


def check_itself():
    there = lambda path: not path.endswith("missing.h")
    wrong = [
        ("runtime/nn/linear.h", '#include "models/llama.h"'),
        ("models/llama.cpp", '#include "peft/lora.h"'),
        ("data/pack.cpp", '#include "models/llama.h"'),
        ("parallel/ddp.cpp", '#include "train/trainer.h"'),
        ("train/trainer.cpp", '#include "infer/generate.h"'),
        ("infer/generate.cpp", '#include "launch/commands.h"'),
        ("sweep/plan.cpp", '#include "launch/run_config.h"'),
        ("sweep/plan.cpp", '#include "train/schedule.h"'),
        ("launch/train.cpp", '#include "tests/support/assets.h"'),
        ("runtime/base/text.cpp", '#include "text.h"'),
        ("runtime/base/text.cpp", '#include "../base/text.h"'),
        ("runtime/base/text.cpp", '#include "runtime/base/missing.h"'),
        ("runtime/base/text.cpp", "#include <runtime/base/text.h>"),
        ("attic/old.cpp", '#include "runtime/base/text.h"'),
        ("parallel/comm/mpi.h", "#include <mpi.h>"),
        ("train/trainer.cpp", "  #  include <mpi.h>"),
        ("parallel/comm/communicator.h", "#include <nccl.h>"),
        ("parallel/ddp.cpp", "#include <c10/cuda/CUDAStream.h>"),
        ("runtime/tensor/hdf5.h", "#include <hdf5.h>"),
        ("train/resume.cpp", "#include <H5Cpp.h>"),
        ("runtime/base/config.h", "#include <yaml-cpp/yaml.h>"),
        ("train/trainer.cpp", "#include <CLI/CLI.hpp>"),
        ("runtime/net/hub_client.cpp", "#include <curl/curl.h>"),
        ("runtime/net/http.h", "#include <curl/curl.h>"),
        ("runtime/base/hash.cpp", "#include <openssl/evp.h>"),
        ("launch/chat_command.cpp", "#include <histedit.h>"),
        ("infer/server/api.cpp", "#include <httplib.h>"),
        ("runtime/nn/linear.cpp", "#include <torch/torch.h>"),
        ("tests/runtime/nn_test.cpp", "#include <torch/torch.h>"),
    ]
    right = [
        ("launch/train.cpp", '#include "train/trainer.h"\n#include "peft/lora.h"\n#include <CLI/CLI.hpp>'),
        ("infer/generate.cpp", '#include "models/llama.h"\n#include "infer/sample.h"\n#include <vector>'),
        ("parallel/comm/mpi.cpp", '#include <mpi.h>\n#include "runtime/base/text.h"'),
        ("parallel/comm/nccl_link.cpp", "#include <nccl.h>\n#include <cuda_runtime_api.h>"),
        ("parallel/checkpoint.cpp", "#include <hdf5.h>"),
        ("parallel/checkpoint/shard.cpp", "#include <hdf5.h>"),
        ("runtime/tensor/hdf5.cpp", "#include <hdf5.h>"),
        ("runtime/net/http.cpp", "#include <curl/curl.h>"),
        ("tests/mpi/raw_test.cpp", '#include <mpi.h>\n#include "launch/commands.h"'),
        ("data/pack.cpp", '// #include "models/llama.h" would be wrong'),
    ]
    failures = [f"self-check: not caught: {name}: {text}" for name, text in wrong if len(violations(name, text, there)) != 1]
    failures += [f"self-check: caught wrongly: {complaint}" for name, text in right for complaint in violations(name, text, there)]
    open_type, hidden = "namespace herd {\nclass Sampler final : public Base {", "namespace herd {\nnamespace {\nstruct Sampler {"
    if len(twice_defined([("data/a.h", open_type), ("infer/b.h", "namespace herd {\nstruct Sampler {")])) != 1:
        failures.append("self-check: not caught: a type defined twice")
    if twice_defined([("data/a.h", open_type), ("infer/b.cpp", hidden), ("infer/c.h", "namespace herd {\nclass Sampler;\nstruct Sampler::Part {")]):
        failures.append("self-check: caught wrongly: a type of an unnamed namespace, a declaration or a part")
    return failures


def sources():
    for path in sorted(ROOT.rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in SUFFIXES and path.is_file() and not re.match(r"(build|runs|shared|\.)[^/]*/", name):
            yield name, path.read_text(encoding="utf-8")


def main():
    complaints = check_itself()
    count = 0
    rooms = set()
    for name, text in sources():
        count += 1
        rooms.add(name.split("/")[0])
        complaints += violations(name, text)
    complaints += twice_defined((name, text) for name, text in sources() if not name.startswith(("tests/", "bench/")))
    missing = set(MAY_INCLUDE) - rooms - {"bench", "infer"}  # rooms that may stand empty
    if missing:
        complaints.append(f"no source found in {', '.join(sorted(missing))}: the test looks in the wrong place")
    print("\n".join(complaints) or f"{count} files keep the walls")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
