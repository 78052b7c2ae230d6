"""The page of `herd serve` in a real browser, without a screen: asked, stopped, kept, translated, worked by keyboard alone, at three widths."""

import json
import shutil
import signal
import unittest

from playwright.sync_api import expect, sync_playwright
from serving import ServedJob, Serving

WIDTHS = {"a phone": (360, 740), "a tablet": (820, 1000), "a desk": (1400, 900)}
CHROMIUM = shutil.which("chromium")


@unittest.skipUnless(CHROMIUM, "no chromium")
class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.job = ServedJob()
        cls.server = Serving(cls.job, "--max-new-tokens", "9")
        cls.playwright = sync_playwright().start()
        cls.browser = cls.playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.playwright.stop()
        cls.server.close()
        cls.job.close()

    def setUp(self):
        self.context = self.browser.new_context(locale="en-GB")
        self.addCleanup(self.context.close)
        self.page = self.open()

    def open(self, server=None, context=None):
        page = (context or self.context).new_page()
        self.said, self.asked = [], []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(f"http://127.0.0.1:{(server or self.server).port}/")
        return page

    def ask(self, words):
        self.page.fill("#question", words)
        self.page.keyboard.press("Enter")

    def answered(self):
        expect(self.page.locator("#send")).to_be_visible(timeout=30000)

    def set(self, name, value):
        if self.page.locator("#panel").is_hidden():
            self.page.click("#settings")
        self.page.fill("#" + name, str(value))
        self.page.keyboard.press("Tab")

    def greedy(self, tokens=16):
        self.set("temperature", 0)
        self.set("max_tokens", tokens)

    def of_the_server(self, messages, model="model", tokens=16):
        code, reply = self.server.post("/v1/chat/completions", {"model": model, "messages": messages, "temperature": 0, "max_tokens": tokens})
        self.assertEqual(code, 200, reply)
        return reply["choices"][0]["message"]["content"]

    def test_an_answer_is_the_servers_and_a_second_turn_knows_the_first(self):
        self.greedy()
        messages = []
        for words in ("What is 1 plus 2?", "And 3?"):
            messages.append({"role": "user", "content": words})
            expected = self.of_the_server(messages)
            self.ask(words)
            self.answered()
            self.assertEqual(self.page.locator("article.assistant").last.text_content(), expected)
            messages.append({"role": "assistant", "content": expected})
        self.assertRegex(self.page.inner_text("#told"), r"\d+ tokens, [\d.]+ a second")
        self.assertEqual(self.said, [])
        self.assertEqual({url.split("/")[2] for url in self.asked}, {f"127.0.0.1:{self.server.port}"}, "something comes from elsewhere")

    def test_another_model_a_system_message_and_answering_again(self):
        self.greedy()
        self.set("system", "Be brief.")
        self.page.select_option("#model", "poet")
        question = {"role": "user", "content": "Sing."}
        self.ask("Sing.")
        self.answered()
        answer = self.page.locator("article.assistant")
        self.assertEqual(answer.text_content(), self.of_the_server([{"role": "system", "content": "Be brief."}, question], "poet"))
        self.page.select_option("#model", "pirate")
        self.page.click("#again")
        self.answered()
        self.assertEqual(answer.count(), 1)
        self.assertEqual(answer.text_content(), self.of_the_server([{"role": "system", "content": "Be brief."}, question], "pirate"))

    def test_the_conversation_and_settings_stay_in_the_browser_until_they_are_taken_back(self):
        self.greedy()
        self.page.select_option("#model", "poet")
        self.ask("Keep this.")
        self.answered()
        articles = self.page.locator("article").all_text_contents()
        self.page.reload()
        expect(self.page.locator("#model")).to_have_value("poet")
        self.assertEqual(self.page.locator("article").all_text_contents(), articles)
        self.assertEqual(self.page.input_value("#max_tokens"), "16")
        other = self.browser.new_context(locale="en-GB")
        self.addCleanup(other.close)
        self.assertEqual(self.open(context=other).locator("article.user").count(), 0)
        self.page.click("#undo")
        self.assertEqual(self.page.locator("article").all_text_contents(), ["Ask something."])
        self.ask("And this.")
        self.answered()
        self.page.click("#new")
        self.page.reload()
        self.assertEqual(self.page.locator("article.user").count(), 0)

    def test_words_are_never_html(self):
        words = "<img src=x onerror=document.title='broken'> ``` <b>code</b> ``` <script>document.title='broken'</script>"
        self.ask(words)
        self.answered()
        self.assertEqual(self.page.locator("article.user").text_content().replace(" ", ""), words.replace("```", "").replace(" ", ""))
        self.assertEqual(self.page.locator("article img, article b, article script").count(), 0)
        self.assertEqual(self.page.locator("article.user pre").count(), 1)
        self.assertEqual(self.page.title(), "herd")

    def test_stopping_frees_the_server(self):
        def without_end(route):
            route.continue_(post_data=json.dumps({**json.loads(route.request.post_data), **self.job.endless}))

        self.page.route("**/v1/chat/completions", without_end)
        written = []
        for _ in range(5):  # where the browser is slow, the whole answer is there before it looks
            self.page.click("#new")
            before = self.server.metric("herd_generated_tokens_total")
            self.ask("On and on.")
            expect(self.page.locator("article.assistant")).not_to_be_empty(timeout=30000)
            self.server.signal(signal.SIGSTOP)
            self.page.keyboard.press("Escape")
            self.answered()
            self.server.signal(signal.SIGCONT)
            self.server.wait_for_metric("herd_texts_growing", 0, timeout=30)
            written.append(self.server.metric("herd_generated_tokens_total") - before)
            if written[-1] < self.job.endless["max_tokens"]:
                break
        self.assertLess(written[-1], self.job.endless["max_tokens"], "the server went on to the end")
        self.assertTrue(self.page.locator("#notice").is_hidden())
        self.assertTrue(self.page.locator("article.assistant").text_content())

    def test_by_keyboard_alone_and_in_chinese(self):
        self.page.keyboard.type("One line")
        self.page.keyboard.press("Shift+Enter")
        self.page.keyboard.type("and another")
        self.page.keyboard.press("Enter")
        self.answered()
        self.assertEqual(self.page.locator("article.user").text_content(), "One line\nand another")
        reached = []
        for _ in range(12):
            self.page.keyboard.press("Tab")
            reached.append(self.page.evaluate("document.activeElement.id"))
        self.assertLessEqual({"send", "again", "undo", "model", "new", "settings", "language"}, set(reached))
        self.page.focus("#language")
        self.page.keyboard.press("Enter")
        self.assertEqual(self.page.inner_text("#new"), "新对话")
        self.assertEqual(self.page.get_attribute("html", "lang"), "zh")
        self.page.reload()
        self.assertEqual(self.page.inner_text("#new"), "新对话")
        chinese = self.browser.new_context(locale="zh-CN")
        self.addCleanup(chinese.close)
        self.assertEqual(self.open(context=chinese).inner_text("#settings"), "设置")

    def test_at_every_width_all_is_there(self):
        for name, (width, height) in WIDTHS.items():
            with self.subTest(name):
                self.page.set_viewport_size({"width": width, "height": height})
                self.ask("A " + "very" * 60 + " long word")
                self.answered()
                self.assertLessEqual(self.page.evaluate("document.documentElement.scrollWidth"), width)
                for part in ("#model", "#new", "#settings", "#language", "#question", "#send", "#again", "#undo"):
                    box = self.page.locator(part).bounding_box()
                    self.assertTrue(box["x"] >= 0 and box["x"] + box["width"] <= width and box["y"] >= 0 and box["y"] + box["height"] <= height, f"{part}: {box}")

    def test_a_key_and_a_server_that_goes(self):
        server = Serving(self.job, "--max-new-tokens", "9", HERD_API_KEY="open sesame")
        self.addCleanup(server.close)
        self.page = self.open(server)
        expect(self.page.locator("#notice")).to_contain_text("API key")
        self.set("key", "open sesame")
        expect(self.page.locator("#notice")).to_be_hidden()
        self.ask("Hello")
        self.answered()
        self.assertEqual(self.page.locator("article.assistant").count(), 1)
        server.signal(signal.SIGKILL)
        server.started.process.wait()
        self.ask("Still there?")
        self.answered()
        self.assertEqual(self.page.inner_text("#notice"), "The server cannot be reached.")
        self.assertEqual(self.page.locator("article.user").all_text_contents(), ["Hello", "Still there?"])
        self.page.click("#again")
        self.answered()
        self.ask("And now?")  # in place of the one that nothing came of
        self.answered()
        self.assertEqual(self.page.locator("article.user").all_text_contents(), ["Hello", "And now?"])
        self.assertEqual(self.page.locator("article.assistant").count(), 1)

    def test_answering_again_keeps_the_former_answer_where_nothing_comes(self):
        self.greedy()
        self.ask("Keep this.")
        self.answered()
        articles = self.page.locator("article").all_text_contents()
        self.page.route("**/v1/chat/completions", lambda route: route.fulfill(status=500, json={"error": {"message": "out of order"}}))
        self.page.click("#again")
        self.answered()
        self.assertEqual(self.page.inner_text("#notice"), "out of order")
        self.assertEqual(self.page.locator("article").all_text_contents(), articles)
        self.page.reload()
        self.assertEqual(self.page.locator("article").all_text_contents(), articles)


if __name__ == "__main__":
    unittest.main()
