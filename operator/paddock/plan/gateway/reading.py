"""How an Envoy learns which model a body names: a Lua script that finds it among the bytes. Pure.

Parsing the whole body would cost many times its size, which one caller could use to end the Envoy.
The script keeps one piece of it and steps over values; what they hold is for engines to judge. A
body that two readers could understand in two ways is refused.
"""

from paddock.plan.gateway.xds import METADATA, http_filter
from paddock.wire import Json

MODEL, MISSING, UNREADABLE = "model", "missing", "unreadable"
PIECE_BYTES = 65_536
DEEPEST = 500
"""Engines themselves read hardly deeper."""
MOST_STEPS = 2_000_000
"""Quotes, brackets and keys of one body: about a fifth of a second."""
_LONGEST_WORD = 2048
"""Names, numbers and keys that count are shorter; one of these is always whole in a piece."""

READ_MODEL_SCRIPT = f"""
local PIECE, WORD, DEEPEST, MOST = {PIECE_BYTES}, {_LONGEST_WORD}, {DEEPEST}, {MOST_STEPS}
local QUOTE, COMMA, COLON, SLASH, OPEN, CLOSE, LIST = 34, 44, 58, 92, 123, 125, 91
local SIGNS = {{b = "\\b", f = "\\f", n = "\\n", r = "\\r", t = "\\t"}}
local body, length, base, text, steps

local function look(at)
  base, text = at, body:getBytes(at, math.min(PIECE, length - at))
  return 1
end

local function is_last() return base + #text >= length end

local function step()
  steps = steps + 1
  return steps <= MOST
end

local function after_string(at)
  while step() do
    local quote = text:find('"', at, true)
    local stop = (quote or #text + 1) - 1
    local before = stop
    while before >= at and text:byte(before) == SLASH do before = before - 1 end
    local escapes = (stop - before) % 2
    if quote and escapes == 0 then return quote + 1 end
    if quote then
      at = quote + 1
    else
      if base + #text + escapes >= length then return nil end
      at = look(base + #text + escapes)
    end
  end
end

local function after_nested(at)
  local depth = 1
  while step() do
    local place = text:find('["{{}}%[%]]', at)
    local sign = place and text:byte(place)
    if not place then
      if is_last() then return nil end
      at = look(base + #text)
    elseif sign == QUOTE then
      at = after_string(place + 1)
      if not at then return nil end
    else
      depth = depth + ((sign == OPEN or sign == LIST) and 1 or -1)
      if depth == 0 then return place + 1 end
      if depth > DEEPEST then return nil end
      at = place + 1
    end
  end
end

local function after_space(at)
  while true do
    local place = text:find("[^ \\t\\r\\n]", at)
    if place and (#text - place >= WORD or is_last()) then return place, text:byte(place) end
    if is_last() then return nil end
    at = look(base + (place and place - 1 or #text))
  end
end

local function after_literal(at)
  for _, literal in ipairs({{"true", "false", "null"}}) do
    if text:sub(at, at + #literal - 1) == literal then return at + #literal end
  end
  return text:match("^%-?%d+%.?%d*[eE]?[%+%-]?%d*()", at)
end

local function after_value(at, sign)
  if sign == QUOTE then return after_string(at + 1) end
  if sign == OPEN or sign == LIST then return after_nested(at + 1) end
  return after_literal(at)
end

local function meant(sign, digits)
  if sign ~= "u" then return (SIGNS[sign] or sign) .. digits end
  local code = #digits == 4 and tonumber(digits, 16)
  return code and code < 128 and string.char(code) or nil
end

local function plain(word)
  if not word:find("\\\\", 1, true) then return word end
  return (word:gsub("\\\\(.)(%x?%x?%x?%x?)", meant))
end

local function word_between(piece, first, past)
  if piece ~= base or past - first > WORD then return nil end
  return plain(text:sub(first, past - 2))
end

-- Returns the model or nil, and where the object's end or next comma is; false where unreadable.
local function model_of_pair(at)
  local piece, first = base, at + 1
  at = after_string(first)
  local key = at and word_between(piece, first, at)
  local sign
  if at then at, sign = after_space(at) end
  if not at or sign ~= COLON then return false end
  at, sign = after_space(at + 1)
  if not at then return false end
  piece, first = base, at + 1
  at = after_value(at, sign)
  if not at then return false end
  if not key or key:lower() ~= "{MODEL}" then return nil, at end
  local name = sign == QUOTE and key == "{MODEL}" and word_between(piece, first, at)
  if not name or name:find("[^ -~]") then return false end
  return name, at
end

local function model_of_object()
  local at, sign = after_space(look(0))
  if not at or sign ~= OPEN then return false end
  at, sign = after_space(at + 1)
  local model
  local ended = sign == CLOSE
  while not ended do
    if not at or sign ~= QUOTE or not step() then return false end
    local name
    name, at = model_of_pair(at)
    if name == false then return false end
    model = name or model
    at, sign = after_space(at)
    ended = sign == CLOSE
    if not ended then
      if sign ~= COMMA then return false end
      at, sign = after_space(at + 1)
    end
  end
  if after_space(at + 1) then return false end
  return model
end

function envoy_on_request(handle)
  body = handle:body()
  length = body and body:length() or 0
  steps = 0
  local model
  if length > 0 then model = model_of_object() end
  body, text = nil, nil
  local key = model and "{MODEL}" or model == nil and "{MISSING}" or "{UNREADABLE}"
  handle:streamInfo():dynamicMetadata():set("{METADATA}", key, model or "yes")
  handle:clearRouteCache()
end
"""


def read_model() -> Json:
    """Return the filter that reads the model's name out of the body, whatever type it claims."""
    source: Json = {"inline_string": READ_MODEL_SCRIPT}
    return http_filter("read-model", "lua.v3.Lua", default_source_code=source)
