"""Chat templates for a GGUF file that an engine finds none in.

Pure. A GGUF file holds a Jinja template; Ollama reads Go templates and, finding none in the
manifest, renders a chat as its bare words: no roles, no system prompt. So the family of the Jinja
template is told by its markers, as llama.cpp tells it (src/llama-chat.cpp), and its plain form is
written in Go. Tools and thinking are not in it: a Modelfile's own template goes before.

A file without any template tells its family by its vocabulary: what opens and ends a turn is a
token of its own. Without it llama.cpp takes ChatML, whose markers a model of another family prints.
"""

from collections.abc import Container
from dataclasses import dataclass

CHAT_TEMPLATE = "tokenizer.chat_template"
"""The GGUF key."""


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """One family of chat formats; `markers` must all be in the Jinja text, or all be tokens."""

    name: str
    markers: tuple[str, ...]
    go: str
    stop: tuple[str, ...]


def _turns(open_role: str, after_role: str, end: str, *, assistant: str = "assistant") -> str:
    """Write a format in which every message, system too, is a turn of the same shape."""
    return (
        "{{- range .Messages }}"
        f'{open_role}{{{{ if eq .Role "assistant" }}}}{assistant}{{{{ else }}}}{{{{ .Role }}}}'
        f"{{{{ end }}}}{after_role}{{{{ .Content }}}}{end}"
        f"{{{{ end }}}}{open_role}{assistant}{after_role}"
    )


_GEMMA = (
    '{{- $system := "" }}{{- range .Messages }}'
    '{{- if eq .Role "system" }}{{ $system = printf "%s\\n\\n" .Content }}'
    '{{- else if eq .Role "assistant" }}<start_of_turn>model\n{{ .Content }}<end_of_turn>\n'
    '{{- "\\n" }}{{- else }}<start_of_turn>user\n{{ $system }}{{ .Content }}<end_of_turn>'
    '{{- $system = "" }}{{- "\\n" }}{{- end }}{{- end }}<start_of_turn>model\n'
)
_MISTRAL = (
    '{{- $system := "" }}{{- range .Messages }}'
    '{{- if eq .Role "system" }}{{ $system = printf "%s\\n\\n" .Content }}'
    '{{- else if eq .Role "assistant" }} {{ .Content }}</s>'
    '{{- else }}[INST] {{ $system }}{{ .Content }}[/INST]{{ $system = "" }}{{- end }}{{- end }}'
)
_LLAMA_2 = (
    '{{- $system := "" }}{{- range .Messages }}'
    '{{- if eq .Role "system" }}{{ $system = printf "<<SYS>>\\n%s\\n<</SYS>>\\n\\n" .Content }}'
    '{{- else if eq .Role "assistant" }}{{ .Content }}</s>'
    '{{- else }}[INST] {{ $system }}{{ .Content }} [/INST]{{ $system = "" }}{{- end }}{{- end }}'
)
_USER, _ASSISTANT = "<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>"
_END = "<\uff5cend\u2581of\u2581sentence\uff5c>"
"""DeepSeek's markers are written with full-width bars."""
_DEEPSEEK = (
    '{{- range .Messages }}{{- if eq .Role "system" }}{{ .Content }}{{ "\\n\\n" }}'
    f'{{{{- else if eq .Role "assistant" }}}}{_ASSISTANT}{{{{ .Content }}}}{_END}'
    f"{{{{- else }}}}{_USER}{{{{ .Content }}}}{{{{- end }}}}{{{{- end }}}}{_ASSISTANT}"
)
_COMMAND_R = (
    "{{- range .Messages }}<|START_OF_TURN_TOKEN|>"
    '{{- if eq .Role "system" }}<|SYSTEM_TOKEN|>'
    '{{- else if eq .Role "assistant" }}<|CHATBOT_TOKEN|>{{- else }}<|USER_TOKEN|>{{- end }}'
    "{{- .Content }}<|END_OF_TURN_TOKEN|>{{- end }}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"
)

_MISTRAL_7 = (
    "{{- range .Messages }}"
    '{{- if eq .Role "system" }}[SYSTEM_PROMPT] {{ .Content }}[/SYSTEM_PROMPT]'
    '{{- else if eq .Role "assistant" }} {{ .Content }}</s>'
    "{{- else }}[INST] {{ .Content }}[/INST]{{- end }}{{- end }}"
)

FAMILIES = (
    ChatTemplate(
        "phi4", ("<|im_start|>", "<|im_sep|>"),
        _turns("<|im_start|>", "<|im_sep|>", "<|im_end|>"), ("<|im_start|>", "<|im_end|>"),
    ),
    ChatTemplate(
        "chatml", ("<|im_start|>",),
        _turns("<|im_start|>", "\n", "<|im_end|>\n"), ("<|im_start|>", "<|im_end|>"),
    ),
    ChatTemplate(
        "llama3", ("<|start_header_id|>", "<|end_header_id|>"),
        _turns("<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>"),
        ("<|start_header_id|>", "<|eot_id|>"),
    ),
    ChatTemplate("gemma", ("<start_of_turn>",), _GEMMA, ("<end_of_turn>",)),
    ChatTemplate(
        "granite", ("<|start_of_role|>",),
        _turns("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>\n"),
        ("<|end_of_text|>", "<|start_of_role|>"),
    ),
    ChatTemplate(
        "command-r", ("<|START_OF_TURN_TOKEN|>",), _COMMAND_R, ("<|END_OF_TURN_TOKEN|>",),
    ),
    ChatTemplate("deepseek3", (_ASSISTANT, _USER), _DEEPSEEK, (_USER,)),
    ChatTemplate(
        "phi3", ("<|assistant|>", "<|end|>"),
        _turns("<|", "|>\n", "<|end|>\n"), ("<|end|>", "<|user|>"),
    ),
    ChatTemplate(
        "zephyr", ("<|user|>", "<|assistant|>"),
        _turns("<|", "|>\n", "<|endoftext|>\n"), ("<|user|>", "<|endoftext|>"),
    ),
    ChatTemplate("mistral-v7", ("[INST]", "[SYSTEM_PROMPT]"), _MISTRAL_7, ("[INST]",)),
    ChatTemplate("llama2-sys", ("[INST]", "<<SYS>>"), _LLAMA_2, ("[INST]",)),
    ChatTemplate("mistral-v3", ("[INST]",), _MISTRAL, ("[INST]",)),
)  # fmt: skip
"""In the order in which they are looked for; named as llama.cpp names them."""


MARKERS = frozenset(marker for family in FAMILIES for marker in family.markers)
"""What a vocabulary is searched for."""


def template_named(name: str | None) -> ChatTemplate | None:
    """Return the family of this name."""
    return next((family for family in FAMILIES if family.name == name), None)


def detect_template(said: Container[str]) -> ChatTemplate | None:
    """Return the family of a Jinja text, or of a vocabulary; None if it is none that is known."""
    for family in FAMILIES:
        if all(marker in said for marker in family.markers):
            return family
    return None
