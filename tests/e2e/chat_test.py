"""`herd chat` as a person has it, at a terminal, and as a script has it, over a pipe."""

import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import tempfile
import time
import unittest

from herd_run import HERD, PATIENCE, Job

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r|\x07")


PROMPT, GOES_ON = "\n> ", "\n. "  # where a line is drawn anew there is no line end before them


class Terminal:
    """herd behind a pseudo-terminal."""

    def __init__(self, *arguments, **environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm", "OMP_NUM_THREADS": "1", **environment})
            os.execv(HERD, [HERD, *map(str, arguments)])
        self.raw = b""
        self.seen = 0  # of text(), what expect() has passed

    def text(self):
        return ESCAPE.sub("", self.raw.decode(errors="replace"))

    def read(self, seconds):
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                self.raw += os.read(self.fd, 65536)
            except OSError:  # the other side is closed
                return False
        return True

    def expect(self, wanted, timeout=30):
        """Waits for a text behind what was waited for before. @return what stood between."""
        end = time.monotonic() + timeout * PATIENCE
        while (at := self.text().find(wanted, self.seen)) < 0:
            assert time.monotonic() < end, f"never said {wanted!r}: {self.text()[self.seen:]!r}"
            assert self.read(0.05) or wanted in self.text()[self.seen:], f"ended without {wanted!r}: {self.text()[-400:]!r}"
        between = self.text()[self.seen:at]
        self.seen = at + len(wanted)
        return between

    def send(self, keys):
        os.write(self.fd, keys if isinstance(keys, bytes) else keys.encode())

    def line(self, text):
        self.send(text + "\n")

    def ended(self, timeout=20):
        """The exit code."""
        end = time.monotonic() + timeout * PATIENCE
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
            self.read(0.05)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError(f"still running: {self.text()[self.seen:]!r}")


class Chat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = Job()
        cls.addClassCleanup(cls.job.close)
        cls.model = cls.job.made_model()

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="herd-chat-")
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def arguments(self, *more):
        return ["chat", *(() if "--model" in more else ("--model", self.model)), "--template", "vicuna_v1.1", "--threads", 1, "--temperature", 0, *(() if "--max-new-tokens" in more else ("--max-new-tokens", 12)), *more]

    def terminal(self, *more, **environment):
        chat = Terminal(*self.arguments(*more), XDG_STATE_HOME=str(self.folder), **environment)
        chat.expect("/help lists the commands.")
        chat.expect(PROMPT)
        return chat

    def piped(self, text, *more, code=0):
        done = subprocess.run([HERD, *map(str, self.arguments(*more))], input=text if isinstance(text, bytes) else text.encode(), capture_output=True, timeout=60 * PATIENCE)
        self.assertEqual(done.returncode, code, done)
        self.assertNotIn(b"\x1b", done.stdout + done.stderr)
        return done.stdout.decode(), done.stderr.decode()

    def talk(self, chat):
        """What was said so far."""
        file = self.folder / "talk.json"
        chat.line(f"/save {file}")
        chat.expect(PROMPT)
        return [(message["role"], message["content"]) for message in json.loads(file.read_text())["messages"]]

    def test_a_pipe_is_answered_line_by_line(self):
        out, err = self.piped('one\n\n"""\ntwo\nlines\n"""\n/undo\n//slash\n/save ' + str(self.folder / "talk.json"))
        said = json.loads((self.folder / "talk.json").read_text())["messages"]
        self.assertEqual([message["content"] for message in said[::2]], ["one", "/slash"])
        self.assertTrue(out.startswith(said[1]["content"] + "\n") and out.endswith("\n" + said[3]["content"] + "\n"), out)
        self.assertIn("1 question left", err)
        alone, _ = self.piped("/slash\n".replace("/", "//", 1), "--no-history")
        self.assertEqual(self.piped("one\n//slash\n", "--no-history")[0].removeprefix(said[1]["content"] + "\n"), alone)

    def test_a_script_is_told_what_went_wrong_and_goes_on(self):
        out, err = self.piped(b"\xff\xfe?\n/rest\n/adapter poet\n/params top-k=-1\n" + b"long " * 300 + b"\n/load nowhere.json\nmore\n", code=1)
        for said in ("UTF-8", "did you mean 'reset'", "'poet'", "top-k", "at most 191", "nowhere.json"):
            self.assertIn(said, err)
        self.assertEqual(err.count("error:"), 6, err)
        self.assertEqual(out, self.piped("more\n")[0])

    def test_lines_are_edited_and_remembered(self):
        chat = self.terminal()
        chat.send("w\u00f6rld 世界x\x7f\x01hello \x05!\n")  # Backspace, to the beginning, to the end
        chat.expect(PROMPT)
        self.assertEqual(self.talk(chat)[0], ("user", "hello wörld 世界!"))
        chat.line("/reset")
        chat.expect(PROMPT)
        chat.send("\x1b[A\x1b[A\x1b[A\n")  # three lines up
        chat.expect(PROMPT)
        self.assertEqual(self.talk(chat)[0][1], "hello wörld 世界!")
        chat.send("\x04")
        self.assertEqual(chat.ended(), 0)
        history = self.folder / "herd/chat_history"
        self.assertEqual(history.read_text().splitlines()[:1], ["hello wörld 世界!"])
        self.assertEqual(history.stat().st_mode & 0o777, 0o600)
        again = self.terminal()
        again.send("\x12hell")  # search backwards
        again.send("\n\n")
        again.expect(PROMPT)
        self.assertEqual(self.talk(again)[0][1], "hello wörld 世界!")
        again.line("/quit")
        self.assertEqual(again.ended(), 0)

    def test_several_lines(self):
        chat = self.terminal()
        chat.line("one \\")
        chat.expect(GOES_ON)
        chat.line("two")
        chat.expect(PROMPT)
        for line in ('"""', "three", "", '"""'):
            chat.line(line)
        chat.expect(PROMPT)
        self.assertEqual([text for who, text in self.talk(chat) if who == "user"], ["one \ntwo", "three\n\n"])
        chat.line("/quit")
        self.assertEqual(chat.ended(), 0)

    def test_ctrl_c_stops_the_answer_and_not_the_program(self):
        done = self.job.train("long", "model.config.max_position_embeddings=100000", "train.max_steps=1", ranks=1)
        self.assertEqual(done.code, 0, done)
        chat = self.terminal("--model", self.job.run_folder("long") / "model", "--max-new-tokens", 40000, "--min-new-tokens", 40000)
        for question in ("tell me", "more"):
            chat.line(question)
            chat.expect(question)
            began = time.monotonic()
            while len(chat.text()) < chat.seen + 100:  # in the middle
                chat.read(0.05)
                self.assertLess(time.monotonic(), began + 30 * PATIENCE)
            chat.send("\x03")
            chat.expect("(stopped)")
            chat.expect(PROMPT)
        said = self.talk(chat)
        self.assertEqual([who for who, _ in said], ["user", "assistant"] * 2)
        self.assertGreater(len(said[1][1]), 50)  # as far as it came
        chat.line("/params max-new-tokens=3 min-new-tokens=0")
        chat.expect(PROMPT)
        chat.line("hello")
        chat.expect(PROMPT)
        self.assertEqual(self.talk(chat)[-2], ("user", "hello"))
        chat.line("/quit")
        self.assertEqual(chat.ended(), 0)

    def test_ctrl_c_ends_a_pipe(self):
        done = self.job.train("piped", "model.config.max_position_embeddings=100000", "train.max_steps=1", ranks=1)
        self.assertEqual(done.code, 0, done)
        chat = subprocess.Popen([HERD, *map(str, self.arguments("--model", self.job.run_folder("piped") / "model", "--max-new-tokens", 40000, "--min-new-tokens", 40000))],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(chat.communicate)
        self.addCleanup(chat.kill)
        chat.stdin.write(b"tell me\nand more\n")
        chat.stdin.flush()
        self.assertTrue(chat.stdout.read1(10))  # it answers
        chat.send_signal(signal.SIGINT)
        self.assertEqual(chat.wait(20 * PATIENCE), -signal.SIGINT)

    def test_ctrl_c_at_the_prompt_clears_the_line_and_twice_ends(self):
        chat = self.terminal()
        chat.send("never sent\x03")
        chat.expect("once more ends) > ")
        chat.line("sent")
        chat.expect(PROMPT)
        self.assertEqual(self.talk(chat)[0], ("user", "sent"))
        chat.line('"""')
        chat.expect(GOES_ON)
        chat.send("in a block\x03")
        chat.expect("once more ends) > ")
        chat.send("\x03")
        self.assertEqual(chat.ended(), 0)

    def test_bytes_that_are_no_characters_do_no_harm(self):
        chat = self.terminal()
        chat.send(b"caf\xe9 \xc3\xa9t\xc3\xa9 \xff\n")
        chat.expect(PROMPT)
        self.assertIn("été", self.talk(chat)[0][1])
        chat.line("/quit")
        self.assertEqual(chat.ended(), 0)

    def test_a_long_conversation_is_cut_by_whole_turns(self):
        chat = self.terminal("--system", "Be brief.")
        for i in range(6):
            chat.line(f"question {i} {'x' * 20}")
            chat.expect(PROMPT)
        self.assertRegex(chat.text(), r"the oldest \d of \d questions are left out")
        self.assertEqual(len(self.talk(chat)), 13)  # all of it is kept, and the system text
        chat.line("y" * 500)
        chat.expect("at most 191")
        chat.expect(PROMPT)
        chat.line("/rest")
        chat.expect("did you mean 'reset'")
        chat.line("/adapter poet")
        chat.expect("poet")
        chat.line("/quit")
        self.assertEqual(chat.ended(), 0)  # slips of a person are no failure

    def test_what_the_command_line_gets_wrong(self):
        for more, said in ((["--use", "poet"], "poet"), (["--load", "nowhere.json"], "nowhere.json"), (["--temprature", "1"], "temprature")):
            with self.subTest(said):
                done = subprocess.run([HERD, *map(str, self.arguments(*more))], input=b"", capture_output=True, timeout=60 * PATIENCE)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(said, done.stderr.decode())


if __name__ == "__main__":
    unittest.main(verbosity=2)
