// A chat with the model behind this page. The conversation and the settings stay in this browser.
"use strict";

const TEXTS = {
  en: {
    model: "Model", new: "New chat", settings: "Settings", system: "System message", temperature: "Temperature", top_p: "Top-p", repetition_penalty: "Repetition penalty",
    max_tokens: "Longest answer (tokens)", key: "API key", question: "Your message (Enter sends, Shift+Enter starts a line)", send: "Send", stop: "Stop", again: "Answer again",
    undo: "Take back", empty: "Ask something.", cut: "The answer was cut at its longest length.",
    gone: "The server cannot be reached.", refused: "The server wants an API key: see the settings.", busy: "The server is busy. Try again in a moment.",
    told: (tokens, seconds) => `${tokens} tokens, ${(tokens / seconds).toFixed(1)} a second`,
  },
  zh: {
    model: "模型", new: "新对话", settings: "设置", system: "系统提示", temperature: "温度", top_p: "Top-p", repetition_penalty: "重复惩罚",
    max_tokens: "最长回答（词元）", key: "API 密钥", question: "输入消息（回车发送，Shift+回车换行）", send: "发送", stop: "停止", again: "重新回答",
    undo: "撤回", empty: "请提问。", cut: "回答已达到最大长度而被截断。",
    gone: "无法连接服务器。", refused: "服务器需要 API 密钥：请在设置中填写。", busy: "服务器繁忙，请稍后再试。",
    told: (tokens, seconds) => `${tokens} 个词元，每秒 ${(tokens / seconds).toFixed(1)} 个`,
  },
};
const SETTINGS = ["system", "temperature", "top_p", "repetition_penalty", "max_tokens"];  // the key is not kept

const by_id = (id) => document.getElementById(id);
const kept = (name, otherwise) => { try { return JSON.parse(localStorage.getItem("herd." + name)) ?? otherwise; } catch { return otherwise; } };
const keep = (name, value) => { try { localStorage.setItem("herd." + name, JSON.stringify(value)); } catch { /* a private window: it lasts as long as the page */ } };

let language = kept("language", navigator.language.startsWith("zh") ? "zh" : "en");
let turns = kept("turns", []);  // {role, content}
let answering = null;           // aborts the answer that is under way

const text = (name) => TEXTS[language][name];

function speak() {
  document.documentElement.lang = language;
  for (const part of document.querySelectorAll("[data-text]")) part.textContent = text(part.dataset.text);
  by_id("question").placeholder = text("question");
  const other = by_id("language");
  other.textContent = language === "en" ? "中文" : "English";
  other.lang = language === "en" ? "zh" : "en";
  draw();
}

// Words as they are; what stands between fences as code. Never as HTML.
function fill(article, content) {
  article.replaceChildren();
  content.split(/```(?:[^\n`]*\n)?/).forEach((part, i) => {
    if (part === "") return;
    if (i % 2 === 0) return article.append(part);
    const code = document.createElement("pre");
    code.textContent = part;
    article.append(code);
  });
}

function draw() {
  const talk = by_id("talk");
  talk.replaceChildren(...turns.map(({ role, content }) => {
    const article = document.createElement("article");
    article.className = role;
    fill(article, content);
    return article;
  }));
  if (turns.length === 0) {
    const article = document.createElement("article");
    article.className = "empty";
    article.textContent = text("empty");
    talk.append(article);
  }
  talk.scrollTop = talk.scrollHeight;
  by_id("send").hidden = answering !== null;
  by_id("stop").hidden = answering === null;
  by_id("again").disabled = answering !== null || turns.length === 0;
  by_id("undo").disabled = answering !== null || turns.length === 0;
}

function notice(words) {
  by_id("notice").textContent = words ?? "";
  by_id("notice").hidden = !words;
}

const headers = () => {
  const key = by_id("key").value;
  return { "Content-Type": "application/json", ...(key && { Authorization: "Bearer " + key }) };
};

// What went wrong, in the server's words where they help more than ours.
async function complaint(response) {
  if (response.status === 401) return text("refused");
  if (response.status === 429) return text("busy");
  try {
    return (await response.json()).error.message;
  } catch {
    return `${response.status} ${response.statusText}`;
  }
}

async function list_models() {
  try {
    const response = await fetch("v1/models", { headers: headers() });
    if (!response.ok) return notice(await complaint(response));
    const names = (await response.json()).data.map((model) => model.id);
    by_id("model").replaceChildren(...names.map((name) => new Option(name, name)));
    const chosen = kept("model", names[0]);
    by_id("model").value = names.includes(chosen) ? chosen : names[0];
    notice();
  } catch {
    notice(text("gone"));
  }
}

function request() {
  const number = (id) => Number(by_id(id).value);
  const system = by_id("system").value.trim();
  return {
    model: by_id("model").value, stream: true, stream_options: { include_usage: true },
    messages: [...(system ? [{ role: "system", content: system }] : []), ...turns.slice(0, -1)],
    temperature: number("temperature"), max_tokens: number("max_tokens"), repetition_penalty: number("repetition_penalty"),
    ...(number("temperature") > 0 && { top_p: number("top_p") }),
  };
}

// The events of a stream, as they come.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let held = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (held + value).split("\n");
    held = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: ")) continue;
      const data = line.slice("data: ".length).trim();
      if (data === "[DONE]") return;
      yield JSON.parse(data);
    }
  }
}

// Of the last question. Where nothing comes of it, the former answer stays, if there was one.
async function answer(former = null) {
  answering = new AbortController();
  const turn = { role: "assistant", content: "" };
  turns.push(turn);
  const began = performance.now();
  notice();
  by_id("told").textContent = "";
  draw();
  try {
    const response = await fetch("v1/chat/completions", { method: "POST", headers: headers(), body: JSON.stringify(request()), signal: answering.signal });
    if (!response.ok) throw new Error(await complaint(response));
    const article = by_id("talk").lastElementChild;
    for await (const event of events(response.body)) {
      if (event.error) throw new Error(event.error.message);
      const choice = event.choices?.[0];
      if (choice?.delta?.content) {
        turn.content += choice.delta.content;
        fill(article, turn.content);
        by_id("talk").scrollTop = by_id("talk").scrollHeight;
      }
      if (choice?.finish_reason === "length") notice(text("cut"));
      if (event.usage) by_id("told").textContent = text("told")(event.usage.completion_tokens, (performance.now() - began) / 1000);
    }
  } catch (error) {
    if (error.name !== "AbortError") notice(error instanceof TypeError ? text("gone") : error.message);
  }
  if (turn.content === "") turns = turns.flatMap((other) => other !== turn ? [other] : former ? [former] : []);
  answering = null;
  keep("turns", turns);
  draw();
}

function ask() {
  const question = by_id("question");
  const words = question.value.trim();
  if (!words || answering) return;
  if (turns.at(-1)?.role === "user") turns.pop();  // which nothing came of: the new question takes its place
  turns.push({ role: "user", content: words });
  question.value = "";
  fit(question);
  keep("turns", turns);
  answer();
}

// As high as its text.
function fit(area) {
  area.style.height = "auto";
  area.style.height = area.scrollHeight + 2 + "px";
}

by_id("ask").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
by_id("panel").addEventListener("submit", (event) => event.preventDefault());
by_id("question").addEventListener("input", (event) => fit(event.target));
by_id("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;  // an input method's Enter chooses its word
  event.preventDefault();
  ask();
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && answering) answering.abort(); });
by_id("stop").addEventListener("click", () => answering?.abort());
by_id("new").addEventListener("click", () => {
  answering?.abort();
  turns = [];
  keep("turns", turns);
  notice();
  draw();
  by_id("question").focus();
});
by_id("again").addEventListener("click", () => {
  answer(turns.at(-1).role === "assistant" ? turns.pop() : null);
});
by_id("undo").addEventListener("click", () => {
  while (turns.length > 0 && turns.pop().role !== "user") { /* the answer goes with its question */ }
  keep("turns", turns);
  notice();
  draw();
});
by_id("settings").addEventListener("click", () => {
  const panel = by_id("panel");
  panel.hidden = !panel.hidden;
  by_id("settings").setAttribute("aria-expanded", String(!panel.hidden));
  if (!panel.hidden) by_id("system").focus();
});
by_id("language").addEventListener("click", () => {
  language = language === "en" ? "zh" : "en";
  keep("language", language);
  speak();
});
by_id("model").addEventListener("change", () => keep("model", by_id("model").value));
by_id("key").addEventListener("change", list_models);
for (const id of SETTINGS) {
  const field = by_id(id);
  field.value = kept("setting." + id, field.value);
  field.addEventListener("change", () => keep("setting." + id, field.value));
}

speak();
list_models();
