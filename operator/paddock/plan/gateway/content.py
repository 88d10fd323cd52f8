"""How prompts and answers are recorded where a pool asks for it: a Lua script of its routes. Pure.

Nobody's words are kept unless every pool behind a model asks for that; without one the filter is
not there at all. It keeps text only, a bounded part of it, for the request's record and no other
place. A string stays as its JSON spells it, so that nothing is decoded and encoded again.
"""

from collections.abc import Iterable, Mapping

from paddock.api.inferencepool import InferencePool
from paddock.plan.gateway.catalog import Served
from paddock.plan.gateway.xds import http_filter, lua_of_route
from paddock.wire import Json

CONTENT_FILTER = "record-content"
CONTENT_METADATA = "paddock.content"
"""Metadata of its own: no other filter reads or copies it."""
CONTENT_BYTES, LOOKED_AT_BYTES = 16 * 1024, 64 * 1024
"""Kept of a prompt and of an answer, each; and the part of a body that is looked at."""
INPUT, OUTPUT, SYSTEM, TRUNCATED = "input", "output", "system", "truncated"
CONTENT: Mapping[str, str] = {
    "gen_ai.input.messages": INPUT,
    "gen_ai.output.messages": OUTPUT,
    "gen_ai.system_instructions": SYSTEM,
}
CUT = "paddock.content.truncated"
_NAME = "content"
_DEEPEST = 32
_PART_BYTES = 64
"""What a part counts beside its text."""

_READING = f"""
local MOST, LOOKED_AT, DEEPEST, PART = {CONTENT_BYTES}, {LOOKED_AT_BYTES}, {_DEEPEST}, {_PART_BYTES}
local QUOTE, SLASH, OPEN, CLOSE, LIST, LIST_END, LETTER_U = 34, 92, 123, 125, 91, 93, 117
local CHARACTERS = {{
  "^[\\225-\\236\\238\\239][\\128-\\191][\\128-\\191]()", "^[\\194-\\223][\\128-\\191]()",
  "^\\224[\\160-\\191][\\128-\\191]()", "^\\237[\\128-\\159][\\128-\\191]()",
  "^\\240[\\144-\\191][\\128-\\191][\\128-\\191]()",
  "^\\244[\\128-\\143][\\128-\\191][\\128-\\191]()",
  "^[\\241-\\243][\\128-\\191][\\128-\\191][\\128-\\191]()",
}}
local text, at, value

local function whole_characters(run)
  local kept, place = {{}}, 1
  while place <= #run do
    local past
    for _, pattern in ipairs(CHARACTERS) do
      past = run:match(pattern, place)
      if past then break end
    end
    kept[#kept + 1] = past and run:sub(place, past - 1) or "?"
    place = past or place + 1
  end
  return table.concat(kept)
end

-- Returns as much of a string as there is room for, never with half an escape.
local function cut(piece, most)
  local kept = piece:sub(1, most)
  local last = #kept
  while last > #kept - 5 and last > 0 and kept:byte(last) ~= SLASH do last = last - 1 end
  if kept:byte(last) ~= SLASH then return kept end
  local first = last
  while first > 1 and kept:byte(first - 1) == SLASH do first = first - 1 end
  local length = kept:byte(last + 1) == LETTER_U and 6 or 2
  if (last - first) % 2 == 1 or #kept - last + 1 >= length then return kept end
  return kept:sub(1, last - 1)
end

local function after(pattern)
  at = text:find(pattern, at) or #text + 1
  return text:byte(at)
end

local function string_here()
  local first = at + 1
  at = first
  while true do
    local place = text:find('["\\\\]', at)
    if not place then
      at = #text + 1
      return text:sub(first)
    end
    at = place + (text:byte(place) == QUOTE and 1 or 2)
    if text:byte(place) == QUOTE then return text:sub(first, place - 1) end
  end
end

local function list_here(depth)
  local found = {{}}
  at = at + 1
  while true do
    local sign = after("[^%s,]")
    if not sign then return found end
    if sign == LIST_END then
      at = at + 1
      return found
    end
    found[#found + 1] = value(depth) or false
  end
end

local function object_here(depth)
  local found = {{}}
  at = at + 1
  while after("[^%s,]") == QUOTE do
    local key = string_here()
    after("[^%s:]")
    found[key] = value(depth)
  end
  at = text:byte(at) == CLOSE and at + 1 or #text + 1
  return found
end

-- Reads what is here as far as it goes: a body may end anywhere.
function value(depth)
  local sign = text:byte(at)
  if sign == QUOTE then return string_here() end
  if sign == OPEN or sign == LIST then
    if depth == DEEPEST then
      at = #text + 1
      return nil
    end
    return sign == OPEN and object_here(depth + 1) or list_here(depth + 1)
  end
  local word, past = text:match("^([^%s,%]}}]+)()", at)
  at = past or at + 1
  return tonumber(word)
end

local function read(bytes)
  text, at = bytes, 1
  local found = after("%S") == OPEN and value(0) or {{}}
  text = nil
  return found
end

local function take(state, piece)
  if type(piece) ~= "string" or piece == "" then return "" end
  local kept = cut(piece, state.left)
  if #kept < #piece then state.truncated = true end
  state.left = state.left - #kept
  return (kept:gsub("[%z\\1-\\31]", " "):gsub("[\\128-\\255]+", whole_characters))
end

local function add_part(state, parts, piece)
  if type(piece) ~= "string" then return end
  state.left = math.max(0, state.left - PART)
  local kept = take(state, piece)
  if kept ~= "" then
    parts[#parts + 1] = '{{"type":"text","content":"' .. kept .. '"}}'
  end
end

local function parts_of(state, content)
  local parts = {{}}
  for _, item in ipairs(type(content) == "table" and content or {{content}}) do
    add_part(state, parts, type(item) == "table" and item.text or item)
  end
  return table.concat(parts, ",")
end

local function word_of(piece, otherwise)
  local known = type(piece) == "string" and #piece <= 32 and piece:find("^[%w_%-]+$")
  return known and piece or otherwise
end

local function note(handle, key, said)
  handle:streamInfo():dynamicMetadata():set("{CONTENT_METADATA}", key, said)
end

local function note_cut(handle, state)
  if state.truncated then note(handle, "{TRUNCATED}", "true") end
end
"""

_PROMPTS = f"""
local function messages_of(state, body)
  local said = body.messages or body.input or body.prompt
  local messages = {{}}
  for _, each in ipairs(type(said) == "table" and said or {{said}}) do
    local message = type(each) == "table" and each or {{content = each}}
    local parts = parts_of(state, message.content)
    if parts ~= "" then
      local role = word_of(message.role, "user")
      messages[#messages + 1] = '{{"role":"' .. role .. '","parts":[' .. parts .. "]}}"
    end
  end
  return "[" .. table.concat(messages, ",") .. "]"
end

function envoy_on_request(handle)
  local path = handle:headers():get(":path"):match("^[^?]*")
  local body = not (path:find("embed", 1, true) or path:find("rerank", 1, true)) and handle:body()
  if not body or body:length() == 0 then return end
  local state = {{left = MOST, truncated = body:length() > LOOKED_AT}}
  local found = read(body:getBytes(0, math.min(body:length(), LOOKED_AT)))
  local instructions = parts_of(state, found.system or found.instructions)
  if instructions ~= "" then note(handle, "{SYSTEM}", "[" .. instructions .. "]") end
  note(handle, "{INPUT}", messages_of(state, found))
  note_cut(handle, state)
end
"""

_ANSWERS = f"""
local function hear(state, index, kind, piece)
  local kept = take(state, piece)
  if kept == "" then return end
  local answer = state.answers[index] or {{reasoning = {{}}, text = {{}}}}
  state.answers[index] = answer
  answer[kind][#answer[kind] + 1] = kept
  state.last = math.max(state.last, index)
end

local function hear_message(state, index, message)
  if type(message) ~= "table" then return end
  hear(state, index, "reasoning", message.reasoning_content or message.thinking)
  hear(state, index, "text", message.content)
end

local function hear_openai(state, choice)
  if type(choice) ~= "table" then return end
  local index = tonumber(choice.index) or 0
  if index < 0 or index >= 128 or index % 1 ~= 0 then return end
  hear_message(state, index, choice.message or choice.delta)
  hear(state, index, "text", choice.text)
  state.finish[index] = word_of(choice.finish_reason, state.finish[index])
end

local function hear_response(state, said)
  if said.type == "response.output_text.delta" then hear(state, 0, "text", said.delta) end
  for _, item in ipairs(type(said.output) == "table" and said.output or {{}}) do
    for _, part in ipairs(type(item) == "table" and type(item.content) == "table"
                          and item.content or {{}}) do
      local kind = item.type == "reasoning" and "reasoning" or "text"
      if type(part) == "table" then hear(state, 0, kind, part.text) end
    end
  end
  if said.status == "completed" or said.type == "response.completed" then
    state.finish[0] = "stop"
  end
end

local function hear_object(state, said)
  for _, choice in ipairs(type(said.choices) == "table" and said.choices or {{}}) do
    hear_openai(state, choice)
  end
  hear_message(state, 0, said.message)
  if type(said.response) == "string" then
    hear_message(state, 0, {{thinking = said.thinking, content = said.response}})
  end
  hear_response(state, said)
  state.finish[0] = word_of(said.done_reason, state.finish[0])
end

local function hear_lines(state, bytes)
  local before = state.rest .. bytes
  local place = 1
  while state.left > 0 do
    local stop = before:find("\\n", place, true)
    if not stop then break end
    local object = before:find("{{", place, true)
    if object and object < stop then hear_object(state, read(before:sub(object, stop - 1))) end
    place = stop + 1
  end
  state.rest = before:sub(place)
  if #state.rest > LOOKED_AT then state.left = 0 end
end

local function told(state)
  local messages = {{}}
  for index = 0, state.last do
    local answer = state.answers[index]
    local parts = {{}}
    for _, kind in ipairs(answer and {{"reasoning", "text"}} or {{}}) do
      local words = table.concat(answer[kind])
      if words ~= "" then
        parts[#parts + 1] = '{{"type":"' .. kind .. '","content":"' .. words .. '"}}'
      end
    end
    if answer then
      messages[#messages + 1] = '{{"role":"assistant","parts":[' .. table.concat(parts, ",")
        .. '],"finish_reason":"' .. (state.finish[index] or "unknown") .. '"}}'
    end
  end
  return "[" .. table.concat(messages, ",") .. "]"
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local known = handle:streamInfo():dynamicMetadata():get("{CONTENT_METADATA}")
  if not known or headers:get(":status") ~= "200" or headers:get("content-encoding") then return end
  local kind = headers:get("content-type") or ""
  local streams = kind:find("ndjson", 1, true) or kind:find("event-stream", 1, true)
  local state = {{left = MOST, rest = "", answers = {{}}, finish = {{}}, last = -1}}
  for chunk in handle:bodyChunks() do
    local size = chunk:length()
    if streams and state.left > 0 then
      hear_lines(state, chunk:getBytes(0, size))
    elseif not streams and #state.rest < LOOKED_AT then
      state.rest = state.rest .. chunk:getBytes(0, math.min(size, LOOKED_AT - #state.rest))
    end
  end
  if streams then hear_lines(state, "\\n") else hear_object(state, read(state.rest)) end
  if state.left == 0 then state.truncated = true end
  note(handle, "{OUTPUT}", told(state))
  note_cut(handle, state)
end
"""


def content_script() -> str:
    """Return the script: how JSON is read, what a prompt is, and what an answer is."""
    return _READING + _PROMPTS + _ANSWERS


def is_recorded(pool: InferencePool) -> bool:
    """Tell whether a pool asks for its prompts and answers to be recorded."""
    telemetry = pool.spec.telemetry
    return telemetry is not None and telemetry.capture_content is True


def all_record(served: Served) -> bool:
    """Tell whether every pool behind a model does; one that does not keeps its callers' words."""
    return all(is_recorded(offer.pool) for offer in served.offers)


def content_filters(served: Iterable[Served]) -> list[Json]:
    """Return the filter, which reads the routes that ask for it; none where none does."""
    if not any(map(all_record, served)):
        return []
    source: Json = {"inline_string": content_script()}
    return [http_filter(CONTENT_FILTER, "lua.v3.Lua", source_codes={_NAME: source})]


def content_of_route(served: Served) -> dict[str, Json]:
    """Return what makes the routes of a model have their prompts and answers recorded."""
    return {CONTENT_FILTER: lua_of_route(_NAME)} if all_record(served) else {}
