"""`herd serve`: what well-behaved clients get, OpenAI's own among them."""

import json
import unittest

import openai
import torch
from herd_run import run
from serving import ServedJob, Serving, at_once, events
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

TOLERANCE = 1e-4  # of a log-probability: two implementations in fp32
QUESTIONS = [f"Question {i}: what is {i} plus {i * 7 % 13}?" for i in range(48)]


class Answers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = ServedJob()
        cls.server = Serving(cls.job, "--batch-size", "4", "--queue", "64", "--max-new-tokens", "9", "--max-texts", "12")
        cls.client = openai.OpenAI(base_url=f"http://127.0.0.1:{cls.server.port}/v1", api_key="none", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.job.close()

    def generated(self, records, tokens, *arguments):
        """What `herd generate` answers to them, greedily."""
        path = self.job.write("asked.json", records)
        done = run("generate", *self.job.served_arguments(), "--file", path, "--max-new-tokens", tokens, "--output", self.job.folder / "answers", *arguments)
        self.assertEqual(done.code, 0, done)
        return [json.loads(line) for line in (self.job.folder / "answers").read_text().splitlines()]

    def complete(self, **fields):
        return self.client.completions.create(**{"model": "model", "temperature": 0, **fields})

    def chat(self, question, **fields):
        return self.client.chat.completions.create(**{"model": "model", "temperature": 0, "messages": [{"role": "user", "content": question}], **fields})

    def test_the_base_and_every_adapter_are_listed(self):
        self.assertEqual([model.id for model in self.client.models.list()], ["model", "pirate", "poet"])
        self.assertEqual(self.client.models.retrieve("poet").id, "poet")
        with self.assertRaisesRegex(openai.NotFoundError, "parrot"):
            self.client.models.retrieve("parrot")

    def test_a_completion_is_what_generate_writes_streaming_and_not(self):
        for prompt, expected in zip(QUESTIONS[:6], self.generated([{"prompt": prompt} for prompt in QUESTIONS[:6]], 24)):
            answer = self.complete(prompt=prompt, max_tokens=24)
            self.assertEqual(answer.choices[0].text, expected["generated"])
            self.assertEqual(answer.usage.completion_tokens, expected["new_tokens"])
            self.assertEqual(answer.choices[0].finish_reason, "stop" if expected["finish"] == "eos" else expected["finish"])
            self.assertEqual("".join(chunk.choices[0].text for chunk in self.complete(prompt=prompt, max_tokens=24, stream=True)), expected["generated"])

    def test_a_chat_is_what_generate_answers_by_every_model_streaming_and_not(self):
        models = ["model", "pirate", "poet"] * 2
        asked = [{"instruction": question, "adapter": None if model == "model" else model} for question, model in zip(QUESTIONS, models)]
        all_expected = self.generated(asked, 24)
        self.assertEqual(len({line["generated"] for line in all_expected}), len(models), "the models answer alike: nothing would be seen")
        for question, model, expected in zip(QUESTIONS, models, all_expected):
            choice = self.chat(question, model=model, max_completion_tokens=24).choices[0]
            self.assertEqual((choice.message.content, choice.message.role), (expected["generated"], "assistant"))
            chunks = list(self.chat(question, model=model, max_tokens=24, stream=True))
            self.assertEqual("".join(chunk.choices[0].delta.content or "" for chunk in chunks), expected["generated"])
            self.assertEqual([chunk.choices[0].finish_reason for chunk in chunks][-1], choice.finish_reason)
            self.assertEqual(chunks[0].choices[0].delta.role, "assistant")

    def test_prompts_as_a_list_and_as_ids_and_several_answers_of_each(self):
        texts = [choice.text for choice in self.complete(prompt=QUESTIONS[:3], max_tokens=12, n=2).choices]
        alone = [self.complete(prompt=prompt, max_tokens=12).choices[0].text for prompt in QUESTIONS[:3]]
        self.assertEqual(texts, [text for text in alone for _ in range(2)])
        ids = [[ord(letter) - ord("A") + 33 for letter in "ABCDE"], [70, 71, 72]]
        both = self.complete(prompt=ids, max_tokens=6)
        self.assertEqual([choice.index for choice in both.choices], [0, 1])
        self.assertEqual(both.choices[0].text, self.complete(prompt=ids[0], max_tokens=6).choices[0].text)
        self.assertEqual(both.usage.prompt_tokens, 8)

    def test_a_seed_gives_the_same_answers_again_and_no_two_alike(self):
        def drawn(**fields):
            return [choice.text for choice in self.complete(prompt="Once", max_tokens=12, temperature=1, n=4, **fields).choices]
        self.assertEqual(drawn(seed=5), drawn(seed=5))
        self.assertEqual(len(set(drawn(seed=5))), 4)
        self.assertNotEqual(drawn(seed=5), drawn(seed=6))
        self.assertNotEqual(drawn(), drawn())

    def test_sampling_fields_mean_what_generates_options_do(self):
        greedy = self.complete(prompt="Once", max_tokens=12).choices[0].text
        fields = {"repetition_penalty": 1.7, "no_repeat_ngram": 2, "top_k": 5, "min_p": 0.01, "typical_p": 0.9}
        options = [word for key, value in fields.items() for word in ("--" + key.replace("_", "-"), value)]
        # Generate's first prompt and a request's first text are both number 0.
        expected = self.generated([{"prompt": "Once"}], 12, "--temperature", "0.8", "--top-p", "0.95", "--presence-penalty", "0.5", "--seed", "3", *options)
        answer = self.complete(prompt="Once", max_tokens=12, temperature=0.8, top_p=0.95, presence_penalty=0.5, seed=3, extra_body=fields)
        self.assertEqual(answer.choices[0].text, expected[0]["generated"])
        self.assertNotEqual(answer.choices[0].text, greedy)
        # Without effect at temperature 0, where clients send it all the same.
        self.assertEqual(self.complete(prompt="Once", max_tokens=12, top_p=0.5, extra_body={"top_k": 3}).choices[0].text, greedy)

    def test_a_stop_string_is_left_out_and_never_shown_in_part(self):
        whole = self.complete(prompt="Once", max_tokens=40).choices[0].text
        stop = whole[7:12]
        expected = whole[:whole.find(stop)]
        answer = self.complete(prompt="Once", max_tokens=40, stop=[stop, "never there"], logprobs=0).choices[0]
        self.assertEqual((answer.text, answer.finish_reason), (expected, "stop"))
        told = "".join(answer.logprobs.tokens)  # by whole tokens: the last may reach into the stop string
        self.assertTrue(told.startswith(expected) and stop not in told, told)
        shown = ""
        for chunk in self.complete(prompt="Once", max_tokens=40, stop=stop, stream=True):
            shown += chunk.choices[0].text
            self.assertTrue(expected.startswith(shown), shown)
        self.assertEqual(shown, expected)

    def test_a_stream_tells_usage_only_where_it_is_asked_and_ends_with_done(self):
        body = {"model": "model", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5, "temperature": 0, "stream": True}
        *chunks, done = events(self.server.request("POST", "/v1/chat/completions", body)[2])
        self.assertEqual(done, "[DONE]")
        self.assertFalse(any("usage" in json.loads(chunk) for chunk in chunks))
        *chunks, last = list(self.chat("Hello", max_tokens=5, stream=True, stream_options={"include_usage": True}))
        self.assertTrue(all(chunk.usage is None for chunk in chunks))
        self.assertEqual((last.choices, last.usage.completion_tokens), ([], 5))

    def test_log_probabilities_of_prompt_and_answer_are_those_of_transformers(self):
        answer = self.complete(prompt="Once upon a time", max_tokens=5, echo=True, logprobs=3)
        told = answer.choices[0].logprobs
        model = AutoModelForCausalLM.from_pretrained(self.job.model)
        prompt = PreTrainedTokenizerFast.from_pretrained(self.job.model)("Once upon a time", return_tensors="pt").input_ids
        with torch.no_grad():
            ids = model.generate(prompt, max_new_tokens=5, do_sample=False)
            rows = torch.log_softmax(model(ids).logits[0].double(), -1)
        ids = ids[0].tolist()
        self.assertIsNone(told.token_logprobs[0])
        self.assertEqual((answer.usage.prompt_tokens, len(told.tokens)), (prompt.shape[1], len(ids)))
        for i, (log_prob, top) in enumerate(zip(told.token_logprobs[1:], told.top_logprobs[1:])):
            self.assertAlmostEqual(log_prob, rows[i, ids[i + 1]].item(), delta=TOLERANCE)
            self.assertAlmostEqual(max(top.values()), rows[i].max().item(), delta=TOLERANCE)
        self.assertEqual(answer.choices[0].text, "".join(told.tokens))
        self.assertEqual(told.text_offset, [len("".join(told.tokens[:i])) for i in range(len(told.tokens))])
        # How lm-evaluation-harness finds out whether a text is the greedy one: ids, and equality to the bit.
        scored = self.complete(prompt=ids, max_tokens=1, echo=True, logprobs=1, seed=1234).choices[0].logprobs
        greedy = [log_prob == max(top.values()) for log_prob, top in zip(scored.token_logprobs[1:-1], scored.top_logprobs[1:-1])]
        self.assertEqual(greedy, [row.argmax().item() == id for row, id in zip(rows, ids[1:])])
        self.assertEqual(greedy[-5:], [True] * 5)
        self.assertIn(False, greedy)
        prompt_alone = self.complete(prompt="Once upon a time", max_tokens=0, echo=True, logprobs=3).choices[0]
        self.assertEqual(prompt_alone.text, "Once upon a time")
        self.assertEqual(prompt_alone.logprobs.token_logprobs, told.token_logprobs[:len(prompt_alone.logprobs.tokens)])

    def test_log_probabilities_of_a_chat_are_the_completions_streaming_and_not(self):
        content = self.chat("Hello", max_tokens=6, logprobs=True, top_logprobs=2).choices[0].logprobs.content
        self.assertEqual(len(content), 6)
        for token in content:
            self.assertEqual(len(token.top_logprobs), 2)
            self.assertAlmostEqual(token.logprob, max(top.logprob for top in token.top_logprobs))  # greedy
        streamed = [token for chunk in self.chat("Hello", max_tokens=6, logprobs=True, top_logprobs=2, stream=True) if chunk.choices[0].logprobs
                    for token in chunk.choices[0].logprobs.content]
        self.assertEqual([(token.token, token.logprob) for token in streamed], [(token.token, token.logprob) for token in content])

    def test_a_conversation_goes_on(self):
        turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]},
                 {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "Again"}]
        first = self.client.chat.completions.create(model="model", messages=turns[1:2], max_tokens=1)
        whole = self.client.chat.completions.create(model="model", messages=turns, max_tokens=1)
        self.assertGreater(whole.usage.prompt_tokens, first.usage.prompt_tokens)
        self.assertEqual(first.usage.prompt_tokens, self.chat("Hello", max_tokens=1).usage.prompt_tokens)

    def test_a_crowd_gets_the_answers_that_each_would_get_alone(self):
        models = ("model", "pirate", "poet")
        alone = [self.chat(question, model=models[i % 3], max_tokens=20).choices[0].message.content for i, question in enumerate(QUESTIONS)]
        self.assertGreater(len(set(alone)), len(QUESTIONS) * 3 // 4)

        def ask(i):
            answer = self.chat(QUESTIONS[i], model=models[i % 3], max_tokens=20, stream=i % 2 == 0)
            return answer.choices[0].message.content if i % 2 else "".join(chunk.choices[0].delta.content or "" for chunk in answer)
        self.assertEqual(at_once(len(QUESTIONS), ask), alone)

    def test_the_seeds_routes(self):
        expected = self.generated([{"instruction": "Say what 2 + 2 is"}], 9)[0]["generated"]
        status, answer = self.server.get("/query/Say%20what%202%20+%202%20is")
        self.assertEqual((status, answer["query"], answer["answer"]), (200, "Say what 2 + 2 is", expected))
        self.assertRegex(answer["time"], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
        status, answer = self.server.post("/", {"prompt": "Say what 2 + 2 is"})
        self.assertEqual((status, answer["response"], answer["status"], sorted(answer)), (200, expected, 200, ["response", "status", "time"]))

    def test_metrics_count(self):
        before = {name: self.server.metric(name) for name in ("herd_prompt_tokens_total", "herd_generated_tokens_total", "herd_time_to_first_token_seconds_count")}
        path = 'herd_requests_total{path="/v1/completions",code="200"}'
        asked = self.server.metric(path)
        answer = self.complete(prompt="Once", max_tokens=7)
        self.server.get("/a/path/of/ones/own")
        self.assertEqual(self.server.metric("herd_prompt_tokens_total") - before["herd_prompt_tokens_total"], answer.usage.prompt_tokens)
        self.assertEqual(self.server.metric("herd_generated_tokens_total") - before["herd_generated_tokens_total"], answer.usage.completion_tokens)
        self.assertEqual(self.server.metric("herd_time_to_first_token_seconds_count") - before["herd_time_to_first_token_seconds_count"], 1)
        self.assertEqual(self.server.metric(path) - asked, 1)
        self.assertNotIn("ones/own", self.server.get("/metrics")[1])
        self.assertEqual(self.server.metric("herd_ready"), 1)

    def test_what_is_wrong_is_told_before_the_first_chunk(self):
        long = "many words " * 1000
        chat = {"messages": [{"role": "user", "content": "Hello"}]}
        wrong = [  # path, body, status, param, what the message says
            ("completions", {"prompt": long}, 400, None, "context"),
            ("completions", {"prompt": [5] * 4096}, 400, None, "4095"),
            ("completions", {"prompt": [5] * 5000}, 400, "prompt", "4096"),
            ("completions", {"prompt": [10**6]}, 400, None, "1000000"),
            ("completions", {"prompt": ""}, 400, None, "no tokens"),
            ("completions", {"prompt": []}, 400, "prompt", "list"),
            ("completions", {"prompt": [1, "a"]}, 400, "prompt", "list"),
            ("completions", {"prompt": ["a"] * 13}, 400, "prompt", "at most 12"),
            ("completions", {"prompt": "a", "n": 13}, 400, "n", "at most 12"),
            ("completions", {}, 400, "prompt", "nothing"),
            ("completions", {"prompt": "a", "model": "parrot"}, 404, "model", "pirate"),
            ("completions", {"prompt": "a", "model": 7}, 400, "model", "string"),
            ("completions", {"prompt": "a", "temperature": "hot"}, 400, "temperature", "number"),
            ("completions", {"prompt": "a", "temperature": -1}, 400, "temperature", "0"),
            ("completions", {"prompt": "a", "top_p": 0}, 400, "top_p", "above 0"),
            ("completions", {"prompt": "a", "temperature": 0, "top_p": 7}, 400, "top_p", "at most 1"),
            ("completions", {"prompt": "a", "max_tokens": 1.5}, 400, "max_tokens", "whole"),
            ("completions", {"prompt": "a", "max_tokens": 0}, 400, "max_tokens", "echo"),
            ("completions", {"prompt": "a", "n": 0}, 400, "n", "from 1"),
            ("completions", {"prompt": "a", "best_of": 3}, 400, "best_of", "same as n"),
            ("completions", {"prompt": "a", "suffix": "b"}, 400, "suffix", "middle"),
            ("completions", {"prompt": "a", "stop": ["b", 5]}, 400, "stop", "string"),
            ("completions", {"prompt": "a", "stop": ""}, 400, "stop", "empty"),
            ("completions", {"prompt": "a", "logit_bias": {"x": 1}}, 400, "logit_bias", "ids"),
            ("completions", {"prompt": "a", "logit_bias": {"1000000": 1}}, 400, "logit_bias", "1000000"),
            ("completions", {"prompt": "a", "logprobs": 21}, 400, "logprobs", "20"),
            ("completions", {"prompt": "a", "seed": "x"}, 400, "seed", "whole"),
            ("chat/completions", {"messages": []}, 400, "messages", "list"),
            ("chat/completions", {"messages": [{"role": "judge", "content": "a"}]}, 400, "messages[0].role", "assistant"),
            ("chat/completions", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "messages[0].content", "text"),
            ("chat/completions", {"messages": [{"role": "user"}]}, 400, "messages[0].content", "text"),
            ("chat/completions", {"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]}, 400, "messages[1].role", "first"),
            ("chat/completions", {"messages": [{"role": "assistant", "content": "a"}]}, 400, "messages", "end"),
            ("chat/completions", {"messages": [{"role": "tool", "content": "a"}]}, 400, None, "tool"),
            ("chat/completions", {"messages": [{"role": "user", "content": long}]}, 400, None, "context"),
            ("chat/completions", {**chat, "model": "parrot"}, 404, "model", "pirate"),
            ("chat/completions", {**chat, "top_logprobs": 3}, 400, "top_logprobs", "logprobs"),
            ("chat/completions", {**chat, "tools": [{"type": "function"}]}, 400, "tools", "text"),
            ("chat/completions", {**chat, "response_format": {"type": "json_object"}}, 400, "response_format", "text"),
        ]
        for path, body, status, param, says in wrong:
            for stream in (False, True):
                with self.subTest(path=path, body=str(body)[:80], stream=stream):
                    got, headers, reply = self.server.request("POST", f"/v1/{path}", {"model": "model", **body, "stream": stream})
                    self.assertEqual((got, headers["Content-Type"]), (status, "application/json"), reply)
                    error = json.loads(reply)["error"]
                    self.assertEqual((sorted(error), error["param"], error["type"]), (["code", "message", "param", "type"], param, "invalid_request_error"))
                    self.assertIn(says, error["message"])

    def test_what_openais_clients_send_besides_is_accepted(self):
        answer = self.chat("Hello", max_tokens=2, user="me", store=False, metadata={"a": "b"}, service_tier="auto", tools=[], response_format={"type": "text"})
        self.assertEqual(answer.usage.completion_tokens, 2)

    def test_what_is_no_request(self):
        bombs = {"arrays": "[" * 100000, "objects": '{"a":' * 50000, "closed": '{"prompt":' + "[" * 5000 + "]" * 5000 + "}", "quoted": '{"prompt": "' + "[" * 50, "number": '{"prompt": 1e999}'}
        for name, bomb in bombs.items():
            with self.subTest(name):
                self.assertEqual(self.server.post("/v1/completions", bomb)[0], 400)
        self.assertEqual(self.server.post("/v1/completions", '{"prompt": "' + "[" * 50 + '", "max_tokens": 1}')[0], 200)
        for name, body in {"half a character": b'{"prompt": "\xe4\xbd"}', "a surrogate": b'{"prompt": "\xed\xa0\x80"}', "an escaped one": b'{"prompt": "\\ud800"}',
                           "no object": b"[1]", "nothing": b"", "text": b"hello"}.items():
            with self.subTest(name):
                status, reply = self.server.post("/v1/completions", body)
                self.assertEqual((status, reply["error"]["code"]), (400, "invalid_json"), reply)
                self.assertEqual("no UTF-8 at" in reply["error"]["message"], name in ("half a character", "a surrogate"))
        self.assertEqual(self.server.get("/query/%ff%fe")[0], 400)
        self.assertEqual(self.server.post("/v1/completions", "prompt=a", Content_Type="application/x-www-form-urlencoded")[0], 415)
        self.assertEqual(self.server.post("/v1/completions", b"\x1f\x8b", Content_Encoding="gzip")[0], 415)
        self.assertEqual(self.server.get("/v2/models")[0], 404)
        self.assertEqual(self.server.get("/v1/completions")[0], 405)
        self.assertEqual(self.server.request("DELETE", "/v1/models")[0], 405)
        with self.server.socket() as raw:
            raw.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n")  # TLS
            self.assertRegex(raw.recv(4096), b"^HTTP/1.1 400 ")
        self.assertEqual(self.server.get("/health")[0], 200)


if __name__ == "__main__":
    unittest.main()
