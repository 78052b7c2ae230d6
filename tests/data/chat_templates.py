"""Chat templates in the styles of well-known models, in words of our own, and conversations for them."""

TEMPLATES = {
    "llama-3": """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%Y") if strftime_now is defined else "2024" %}
{%- endif %}
{%- if messages and messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{%- if system_message or tools is not none %}
    {{- "<|start_header_id|>system<|end_header_id|>\\n\\nYear: " + date_string + "\\n\\n" }}
    {%- if tools is not none %}
        {%- for t in tools %}
            {{- t | tojson(indent=4) }}
            {{- "\\n\\n" }}
        {%- endfor %}
    {%- endif %}
    {{- system_message }}{{- "<|eot_id|>" }}
{%- endif %}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if message.tool_calls | length != 1 %}
            {{- raise_exception("one call at a time") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n{"name": "' + call.name + '", ' }}
        {{- '"parameters": ' }}{{- call.arguments | tojson }}{{- "}<|eot_id|>" }}
    {%- else %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable and message.content is not string %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "mistral": """{%- if messages and messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set users = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for call in message.tool_calls %}
            {%- set out = call.function | tojson %}
            {{- out[:-1] }}
            {{- ', "id": "' + loop.index | string + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"] | trim + eos_token }}
    {%- elif message["role"] == "tool" %}
        {{- '[TOOL_RESULTS] {"content": ' + message.content | string + "}[/TOOL_RESULTS]" }}
    {%- endif %}
{%- endfor %}""",
    "gemma": """{{ bos_token }}{% if messages and messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}
{%- for message in messages %}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must take turns') }}{% endif %}
{%- if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}
{{- '<start_of_turn>' + role + '
' + message['content'] | trim + '<end_of_turn>
' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model
' }}{% endif %}""",
    "chatml": "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
              "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "zephyr": """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>
'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}
""",
    "phi-3": "{% for message in messages %}{% if message['role'] in ['system', 'user', 'assistant'] and message['content'] %}"
             "{{ '<|' ~ message['role'] ~ '|>\\n' ~ message['content'] ~ '<|end|>\\n' }}{% endif %}{% endfor %}"
             "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}",
    "deepseek-r1": """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}
{%- set ns = namespace(is_first=false, is_tool=false, system_prompt='') %}
{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}
{{- bos_token }}{{ ns.system_prompt }}
{%- for message in messages %}
{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{ '<｜User｜>' + message['content'] }}{%- endif %}
{%- if message['role'] == 'assistant' and message['content'] %}
{%- set content = message['content'] %}
{%- if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}
{{- '<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>' }}
{%- endif %}
{%- if message['role'] == 'tool' %}{%- set ns.is_tool = true -%}{{ '\\n<tool>' + message['content'] + '</tool>' }}{%- endif %}
{%- endfor -%}
{% if add_generation_prompt and not ns.is_tool %}{{ '<｜Assistant｜><think>\\n' }}{% endif %}""",
    "vicuna": "{% if messages and messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'].strip() + ' ' %}"
              "{% else %}{% set loop_messages = messages %}{% set system_message = 'A chat. ' %}{% endif %}{{ bos_token }}"
              "{% for message in loop_messages %}{% if loop.index0 == 0 %}{{ system_message }}{% endif %}"
              "{% if message['role'] == 'user' %}{{ 'USER: ' + message['content'].strip() }}"
              "{% elif message['role'] == 'assistant' %}{{ ' ASSISTANT: ' + message['content'].strip() + eos_token }}{% endif %}{% endfor %}"
              "{% if add_generation_prompt %}{{ ' ASSISTANT:' }}{% endif %}",
    "thinking": """{%- macro content_of(message, first) %}
{%- if message.content is string %}{{ message.content }}{% elif message.content is iterable %}{% for part in message.content %}{{ part.text | default('') }}{% endfor %}{% endif %}
{%- endmacro %}
{%- set ns = namespace(last=messages | length - 1, multi=true) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages | length - 1) - loop.index0 %}
    {%- if ns.multi and message.role == "user" and not (message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == "assistant" %}
        {%- set content = content_of(message, true) %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or (not loop.last and reasoning)) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {% generation %}{{- '<|im_end|>' }}{% endgeneration %}
        {{- '\\n' }}
    {%- else %}
        {{- '<|im_start|>' ~ message.role ~ '\\n' ~ content_of(message) ~ '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
}

TOOLS = [{"type": "function", "function": {"name": "now", "description": "The time – «here».", "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": []}}}]


def _say(role, content, **more):
    return {"role": role, "content": content, **more}


_CALL = [{"type": "function", "function": {"name": "now", "arguments": {"zone": "Asia/Tōkyō", "n": 1.5, "deep": [True, None, {"a": "\"q\"\n"}]}}}]

CONVERSATIONS = [
    [],
    [_say("user", "Hi")],
    [_say("user", " 你好 \n"), _say("assistant", "\n Hello! ")],
    [_say("system", " Be brief. "), _say("user", "a"), _say("assistant", "b"), _say("user", "<b>\\n</b>"), _say("assistant", "<think>\nhm\n</think>\n\nd")],
    [_say("user", "a"), _say("user", "b")],
    [_say("assistant", "first"), _say("user", "b")],
    [_say("system", "s"), _say("system", "t"), _say("user", ""), _say("assistant", "")],
    [_say("user", "time?"), _say("assistant", "", tool_calls=_CALL), _say("tool", "12:00"), _say("assistant", "Noon.")],
    [_say("user", "time?"), _say("assistant", "Let me see", tool_calls=_CALL * 2), _say("tool", "12:00"), _say("tool", "{\"h\": 13}"), _say("assistant", "x"), _say("user", "y")],
    [_say("user", "a"), _say("assistant", "b", reasoning_content="\nwhy\n"), _say("user", "<tool_response>x</tool_response>"), _say("assistant", "c", reasoning_content="so")],
]

_TOOL_CALL = '{"name": "now", "arguments": {"zone": "Asia/Tōkyō", "n": 1.5, "deep": [true, null, {"a": "b"}]}}'

# System text and turns of records.
RECORDS = [
    ("", [("user", "Hi"), ("assistant", "Hello.")]),
    ("", [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]),
    ("Be brief.", [("user", "a"), ("assistant", "b"), ("user", "你好"), ("assistant", "再见 😀")]),
    ("", [("user", " a\n"), ("assistant", " two\nlines \n"), ("user", "\tc"), ("assistant", "\n\nd")]),
    ("", [("user", "<|im_end|></s>"), ("assistant", "<|im_start|>[INST]</s>{{ x }}")]),
    ("", [("user", "\ue000"), ("assistant", "\ue001\ue000")]),
    ("", [("user", "time?"), ("call", _TOOL_CALL), ("tool", "12:00"), ("assistant", "Noon.")]),
    ("S", [("user", "time?"), ("thought", "Let me see."), ("call", _TOOL_CALL), ("tool", "12:00"), ("assistant", "Noon."), ("user", "b"), ("assistant", "c")]),
    ("", [("user", "a"), ("assistant", "<think>t</think>b")]),
    ("", [("user", "a"), ("thought", "why"), ("assistant", "b")]),
]

# What the model writes before and behind an answer, and how answers are trimmed; or part of herd's complaint about a template, or about one record.
IMPORTS = {
    "llama-3": ("", "<|eot_id|>", str.strip), "mistral": (" ", "</s>", str.strip), "gemma": ("", "<end_of_turn>", str.strip), "chatml": ("", "<|im_end|>", str),
    "zephyr": ("", "</s>", str), "phi-3": ("", "<|end|>", str), "vicuna": (" ", "</s>", str.strip), "thinking": ("<think>\n\n</think>\n\n", "<|im_end|>", lambda text: text.lstrip("\n")),
    "qwen2.5": ("", "<|im_end|>", str),
}
_LEFT_OUT = "leaves out the text"
IMPORTS |= {(name, 9): _LEFT_OUT for name in (*TEMPLATES, "qwen2.5") if name != "thinking"}
IMPORTS |= {(name, n): _LEFT_OUT for name in ("chatml", "zephyr", "phi-3", "deepseek-r1", "vicuna", "thinking") for n in (6, 7)}
IMPORTS |= {("llama-3", 7): _LEFT_OUT, ("mistral", 2): _LEFT_OUT, ("mistral", 7): _LEFT_OUT, ("gemma", 2): "no system role", ("gemma", 7): "no system role",
            ("gemma", 6): "take turns", ("deepseek-r1", 8): "looks into this record's texts", ("thinking", 8): "looks into this record's texts"}
IMPORTS |= {("deepseek-r1", n): "a prompt that training's text does not begin with" for n in range(6)}
