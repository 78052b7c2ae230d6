"""`herd serve` among clients that are many, slow, gone or not let in; and how it ends."""

import json
import os
import re
import signal
import socket
import threading
import time
import unittest

from herd_run import PATIENCE, run
from serving import ServedJob, Serving, at_once, events

SHORT = {"prompt": "Once", "max_tokens": 8, "temperature": 0}
MEGABYTE = 1 << 20


class WithServers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = ServedJob()

    @classmethod
    def tearDownClass(cls):
        cls.job.close()

    def serve(self, *arguments, **options):
        server = Serving(self.job, *arguments, **options)
        self.addCleanup(server.close)
        return server

    def endless(self, **fields):
        return {"prompt": "Once", **self.job.endless, **fields}

    def assert_serves(self, server):
        self.assertEqual(server.post("/v1/completions", SHORT)[0], 200)


class Crowds(WithServers):
    def test_200_clients_at_once_against_a_queue_of_32(self):
        server = self.serve("--batch-size", "2", "--queue", "32")
        body = {**self.job.endless, "prompt": "Once", "max_tokens": 150}
        replies = at_once(200, lambda i: server.request("POST", "/v1/completions", body))
        codes = [reply[0] for reply in replies]
        self.assertEqual(set(codes), {200, 429}, codes)
        self.assertGreaterEqual(codes.count(200), 32)
        answers = {json.loads(reply[2])["choices"][0]["text"] for reply in replies if reply[0] == 200}
        self.assertEqual(len(answers), 1)
        refused = [reply for reply in replies if reply[0] == 429]
        self.assertTrue(all(reply[1]["Retry-After"] == "1" for reply in refused))
        self.assertEqual(json.loads(refused[0][2])["error"]["code"], "rate_limit_exceeded")
        self.assert_serves(server)

    def test_more_connections_than_there_are_places(self):
        server = self.serve("--batch-size", "1", "--queue", "100", "--connections", "8")
        busy = [server.send(self.endless(max_tokens=2500, stream=True)) for _ in range(8)]
        for connection in busy:
            self.assertIn(b"200 OK", connection.recv(15))
        status, headers, body = server.request("GET", "/health")
        self.assertEqual((status, headers["Retry-After"]), (503, "1"), body)
        self.assertIn("connections", json.loads(body)["error"]["message"])
        for connection in busy:
            connection.close()
        time.sleep(0.5)
        self.assert_serves(server)

    def test_memory_stays_flat_under_load(self):
        server = self.serve("--batch-size", "8", "--queue", "64", "--kept-texts", "4")
        sizes = []

        def load(round):
            def ask(i):
                body = {"prompt": f"Client {i} of round {round} asks for a text", "max_tokens": 60, "temperature": 0, "stream": i % 2 == 0}
                return server.request("POST", "/v1/completions", body)[0]
            self.assertEqual(set(at_once(32, ask)), {200})
            sizes.append(server.resident())
        for round in range(24):
            load(round)
        # The first rounds fill what is kept, and each thread's own store of memory.
        self.assertLess(sizes[-1] - sizes[7], 4 * MEGABYTE, [size // MEGABYTE for size in sizes])


class BadClients(WithServers):
    def test_a_client_that_leaves_is_not_answered_on(self):
        server = self.serve("--batch-size", "4")
        for stream in (True, False):
            for leave in (socket.socket.close, lambda connection: connection.shutdown(socket.SHUT_WR)):
                with self.subTest(stream=stream):
                    before = server.metric("herd_generated_tokens_total")
                    with server.send(self.endless(stream=stream, n=3)) as connection:
                        server.wait_for_metric("herd_texts_growing", 3)
                        if stream:
                            self.assertIn(b"200 OK", connection.recv(100))
                        leave(connection)
                        server.wait_for_metric("herd_texts_growing", 0, timeout=60)
                    made = server.metric("herd_generated_tokens_total") - before
                    self.assertLess(made, 3 * self.job.endless["max_tokens"], "the server went on to the end")
        self.assert_serves(server)

    def test_a_client_that_leaves_the_queue(self):
        server = self.serve("--batch-size", "1")
        first = server.send(self.endless(stream=True))
        server.wait_for_metric("herd_texts_growing", 1)
        with server.send(SHORT):
            server.wait_for_metric("herd_requests_waiting", 1)
        server.wait_for_metric("herd_requests_waiting", 0, timeout=3)
        self.assertEqual(server.metric("herd_texts_growing"), 1)
        first.close()

    def test_a_storm_of_clients_that_are_killed(self):
        server = self.serve("--batch-size", "4", "--queue", "64")
        for _ in range(3):
            for connection in [server.send(self.endless(stream=i % 2 == 0)) for i in range(40)]:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, as a dead machine's
                connection.close()
        server.wait_for_metric("herd_texts_growing", 0)
        server.wait_for_metric("herd_requests_waiting", 0)
        self.assert_serves(server)

    def test_slow_senders_take_no_place_from_others_and_are_cut_off(self):
        server = self.serve("--connections", "16", "--read-timeout", "2", "--idle-timeout", "2")
        stop = threading.Event()
        cut = []

        def drip(i):
            head = b"POST /v1/completions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n" + (b"\r\n{" if i % 2 else b"X-Slow: ")
            try:
                with server.socket() as connection:
                    connection.sendall(head)
                    while not stop.wait(0.05):
                        connection.sendall(b"a")
            except OSError:
                cut.append(i)
        threads = [threading.Thread(target=drip, args=(i,)) for i in range(40)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            began = time.monotonic()
            self.assert_serves(server)
            self.assertLess(time.monotonic() - began, 1.5 * PATIENCE)
        end = time.monotonic() + 10 * PATIENCE
        while len(cut) < 40 and time.monotonic() < end:
            time.sleep(0.05)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(len(cut), 40)

    def test_a_client_that_reads_nothing(self):
        server = self.serve("--batch-size", "2", "--write-timeout", "1", "--max-texts", "64")
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        body = json.dumps(self.endless(stream=True, n=64, logprobs=20)).encode()  # more than the machine's buffers hold
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        server.wait_for_metric("herd_texts_growing", 2)
        server.wait_for_metric("herd_texts_growing", 0, timeout=25)
        self.assert_serves(server)
        connection.close()

    def test_a_head_and_a_body_without_end(self):
        server = self.serve("--max-body-bytes", "20000")
        self.assertEqual(server.post("/v1/completions", {"prompt": "a" * 20000})[0], 413)
        with server.socket() as connection:
            connection.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 99999999999999999999\r\n\r\n")
            self.assertRegex(connection.recv(4096), b"^HTTP/1.1 413 ")
        began = time.monotonic()
        self.assertEqual(self.sent_until_refused(server, b"GET /" + b"a" * MEGABYTE), b"")
        self.assertLess(time.monotonic() - began, 5 * PATIENCE)  # long before --read-timeout
        chunk = b"1000\r\n" + b"a" * 4096 + b"\r\n"
        head = b"POST /v1/completions HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.assertRegex(self.sent_until_refused(server, head + chunk * 256), b"^HTTP/1.1 413 ")
        body = json.dumps(SHORT).encode()
        self.assertRegex(self.sent_until_refused(server, head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)), b"^HTTP/1.1 200 ")

    def sent_until_refused(self, server, data):
        with server.socket() as connection:
            try:
                connection.sendall(data)
            except OSError:
                pass
            try:
                return connection.recv(4096)
            except OSError:
                return b""

    def test_requests_one_after_the_other_on_a_connection(self):
        server = self.serve()
        with server.socket() as connection, connection.makefile("rb") as reader:
            for _ in range(3):  # both at once
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
                for _ in range(2):
                    self.assertEqual(reader.readline(), b"HTTP/1.1 200 OK\r\n")
                    while reader.readline() != b"\r\n":
                        pass
                    self.assertEqual(reader.read(15), b'{"status":"ok"}')
        # What is refused unread is the last on its connection: its body is no request.
        smuggled = b"GET /metrics HTTP/1.1\r\n\r\n"
        with server.socket() as connection:
            connection.sendall(b"POST /v1/models HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(smuggled), smuggled))
            reply = b"".join(iter(lambda: connection.recv(4096), b""))
        self.assertEqual(reply.count(b"HTTP/1.1 "), 1, reply)

    def replies(self, server, data):
        """To all that is sent on one connection, until the server closes it: its status codes."""
        with server.socket() as connection:
            connection.sendall(data)
            return [int(code) for code in re.findall(rb"HTTP/1.1 (\d+) ", b"".join(iter(lambda: connection.recv(4096), b"")))]

    def test_a_body_that_nobody_reads_is_no_request(self):
        server = self.serve()
        smuggled = b"GET /metrics HTTP/1.1\r\n\r\n"
        body = json.dumps(SHORT).encode()
        post = b"POST /v1/completions HTTP/1.1\r\nContent-Type: application/json\r\n"
        length = b"Content-Length: %d\r\n" % len(smuggled)
        for head, code in {
            b"GET /health HTTP/1.1\r\n" + length: 200,
            b"HEAD /health HTTP/1.1\r\n" + length: 200,
            b"GET /health HTTP/1.1\r\nTransfer-Encoding: chunked\r\n": 200,
            b"DELETE /health HTTP/1.1\r\n" + length: 405,
            post: 411,
            post + b"Content-Length: many\r\n": 400,
            post + b"Content-Length: -1\r\n": 400,
            post + b"Content-Length: 0x10\r\n": 400,
            post + b"Content-Length: +5\r\n": 400,
            post + b"Content-Length: 0\r\n" + length: 400,
            post + b"Content-Length : 5\r\n": 400,
            post + length + b"Transfer-Encoding: chunked\r\n": 400,
            post + b"Transfer-Encoding: gzip\r\n": 501,
            b"GET /a path HTTP/1.1\r\n": 400,
        }.items():
            with self.subTest(head):
                self.assertEqual(self.replies(server, head + b"\r\n" + smuggled), [code])
        with self.subTest("no body at all"):
            self.assertEqual(self.replies(server, b"GET /health HTTP/1.1\r\nContent-Length: 0\r\n\r\n" + b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n"), [200, 200])
            self.assertEqual(self.replies(server, post + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body), [200])

    def test_an_answer_that_takes_too_long(self):
        server = self.serve("--request-timeout", "0.5")
        status, reply = server.post("/v1/completions", self.endless())
        self.assertEqual((status, reply["error"]["code"]), (504, "timeout"))
        body = server.request("POST", "/v1/completions", self.endless(stream=True))[2]
        self.assertEqual(json.loads(events(body)[-1])["error"]["code"], "timeout")
        server.wait_for_metric("herd_texts_growing", 0, timeout=3)


class Doors(WithServers):
    def test_a_key_is_asked_for(self):
        server = self.serve(HERD_API_KEY="a secret", ready=False)
        server.wait_for(lambda: server.get("/health")[0] == 200)  # which needs none
        for path in ("/v1/models", "/metrics"):
            for headers in ({}, {"Authorization": "Bearer a secret too"}, {"Authorization": "Bearer a secre"}, {"Authorization": "a secret"}, {"Authorization": "Bearer "}):
                status, reply_headers, body = server.request("GET", path, **headers)
                self.assertEqual((status, json.loads(body)["error"]["code"]), (401, "invalid_api_key"))
                self.assertEqual(reply_headers["WWW-Authenticate"], "Bearer")
            self.assertEqual(server.get(path, Authorization="Bearer a secret")[0], 200)

    def test_another_host_needs_a_key(self):
        done = run("serve", *self.job.served_arguments(), "--host", "0.0.0.0")
        self.assertEqual(done.code, 2, done)
        self.assertIn("HERD_API_KEY", done.output)

    def test_a_port_that_is_taken(self):
        server = self.serve()
        done = run("serve", *self.job.served_arguments(), "--port", server.port)
        self.assertEqual(done.code, 1, done)
        self.assertIn("--port", done.output)


class Ends(WithServers):
    def test_sigterm_finishes_what_is_under_way_and_takes_nothing_new(self):
        server = self.serve("--batch-size", "1")
        whole = json.loads(server.request("POST", "/v1/completions", self.endless(max_tokens=1500))[2])["choices"][0]["text"]
        got = {}

        def stream(i):
            got[i] = events(server.request("POST", "/v1/completions", self.endless(max_tokens=1500, stream=True))[2])
        threads = [threading.Thread(target=stream, args=(i,)) for i in range(2)]  # one of them waits
        for thread in threads:
            thread.start()
        server.wait_for_metric("herd_requests_waiting", 1)
        server.signal(signal.SIGTERM)
        server.wait_for(lambda: "finishing" in server.log())
        status, headers, body = server.request("POST", "/v1/completions", SHORT)
        self.assertEqual((status, headers["Retry-After"]), (503, "1"), body)
        self.assertEqual(server.get("/health")[0], 503)
        for thread in threads:
            thread.join()
        for i in range(2):
            self.assertEqual(got[i][-1], "[DONE]")
            self.assertEqual("".join(json.loads(event)["choices"][0]["text"] for event in got[i][:-1]), whole)
        self.assertEqual(server.started.process.wait(10 * PATIENCE), 0, server.log())

    def test_a_signal_while_the_model_is_being_read_ends_it(self):
        weights = self.job.model / "model.safetensors"
        whole = weights.rename(self.job.folder / "whole.safetensors")
        os.mkfifo(weights)  # which nobody writes: reading it takes for ever
        self.addCleanup(lambda: whole.rename(weights))
        for number, code in ((signal.SIGTERM, 76), (signal.SIGINT, 130)):
            with self.subTest(number):
                server = self.serve(ready=False)
                self.assertEqual(server.get("/health")[0], 503)
                server.signal(number)
                self.assertEqual(server.started.process.wait(5 * PATIENCE), code, server.log())

    def test_a_second_signal_ends_it_at_once(self):
        server = self.serve("--batch-size", "1")
        connection = server.send(self.endless(stream=True))
        server.wait_for_metric("herd_texts_growing", 1)
        server.signal(signal.SIGTERM)
        time.sleep(0.7)
        server.signal(signal.SIGTERM)
        self.assertEqual(server.started.process.wait(5 * PATIENCE), 143)
        connection.close()

    def test_an_idle_server_ends_at_once(self):
        server = self.serve()
        with server.socket():  # says nothing
            server.signal(signal.SIGINT)
            self.assertEqual(server.started.process.wait(5 * PATIENCE), 0)


if __name__ == "__main__":
    unittest.main()
