"""How an Envoy learns which model a body names: a Lua script that finds it among the bytes. Pure.

Parsing the whole body would cost many times its size, which one caller could use to end the Envoy.
The script reads each piece as it comes, so that others are answered between, and steps over values;
what they hold is for engines to judge. A body that can be understood in two ways is refused, and
one for which there is no room has no route but the first, which says so.
"""

from paddock.plan.gateway.forms import READ_FORM_SCRIPT
from paddock.plan.gateway.xds import METADATA, http_filter
from paddock.wire import Json

MODEL, MISSING, UNREADABLE = "model", "missing", "unreadable"
PIECE_BYTES = 16_384
DEEPEST = 500
"""Engines themselves read hardly deeper."""
MOST_STEPS = 2_000_000
"""Quotes, brackets and keys of one body: about a fifth of a second, over all its pieces."""
CONNECTION = "connection"
"""Where a request that asks for a stream says `close`."""
LARGE_BYTES, ROOM_BYTES = 64 * 1024, 128 * 1024 * 1024
"""What larger bodies may hold together while they come, in each thread; smaller ones always may."""
_LONGEST_WORD = 2048
"""Names, numbers and keys that count are shorter; one of these is always whole in a piece."""
_PAUSE_PERCENT = 400
"""How far Lua's memory grows before it is collected: twice its own, since that is a third of the
script's time; a body that comes holds about 2 KiB of it."""

READ_MODEL_SCRIPT = f"""
collectgarbage("setpause", {_PAUSE_PERCENT})
local PIECE, WORD, DEEPEST, MOST = {PIECE_BYTES}, {_LONGEST_WORD}, {DEEPEST}, {MOST_STEPS}
local QUOTE, COMMA, COLON, SLASH, OPEN, CLOSE, LIST, TRUE = 34, 44, 58, 92, 123, 125, 91, 116
local SPACE = 32
local NESTS, NEVER = {{'"', "{{", "[", "}}", "]"}}, math.huge
local LITERALS = {{"true", "false", "null"}}
local SIGNS = {{b = "\\b", f = "\\f", n = "\\n", r = "\\r", t = "\\t"}}
local LARGE, ROOM = {LARGE_BYTES}, {ROOM_BYTES}
-- The body that is read now, and the text in which; how often a text has been put in place.
local own, text, ended, chunk, taken, size
local looks = 0
-- What large bodies hold, and what has come since those of callers who left were looked for.
local held, came = 0, 0

local function new_share()
  local share, guard = {{bytes = 0}}, newproxy(true)
  getmetatable(guard).__gc = function() held = held - share.bytes end
  share.guard = guard
  return share
end

local function give_back(share)
  held, share.bytes = held - share.bytes, 0
end

local function has_room(added)
  own.bytes, came = own.bytes + added, came + added
  if own.bytes <= LARGE then return true end
  own.share = own.share or new_share()
  held, own.share.bytes = held + own.bytes - own.share.bytes, own.bytes
  if held > ROOM and came > ROOM / 8 then
    collectgarbage()
    came = 0
  end
  return held <= ROOM
end

-- Waits for the next piece, while other bodies may be read. What is before `from` is let go.
local function look(from)
  local kept = text:sub(from)
  while taken == size and not ended do
    local body = own
    chunk, text = nil, nil
    local arrived = body.more()
    own, chunk, ended = body, arrived, not arrived
    taken, size = 0, arrived and arrived:length() or 0
    if not has_room(size) then
      arrived:setBytes("")
      own.refused, ended, size = true, true, 0
    end
  end
  local length = math.min(PIECE, size - taken)
  local piece = length > 0 and chunk:getBytes(taken, length) or ""
  taken, looks = taken + length, looks + 1
  ended = ended or taken == size and own.bytes == own.length
  text = kept == "" and piece or kept .. piece
  return 1
end

local function step()
  own.steps = own.steps + 1
  return own.steps <= MOST
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
      if ended then return nil end
      at = look(#text + 1 - escapes)
    end
  end
end

-- Returns where the first of the signs is, from `places`, which are those found before.
local function next_sign(places, at)
  local first = NEVER
  for number = 1, #NESTS do
    local place = places[number]
    if place < at then
      place = text:find(NESTS[number], at, true) or NEVER
      places[number] = place
    end
    if place < first then first = place end
  end
  return first
end

local function after_nested(at)
  local depth, places, seen = 1, nil, nil
  while step() do
    if seen ~= looks then places, seen = {{0, 0, 0, 0, 0}}, looks end
    local place = next_sign(places, at)
    if place == NEVER then
      if ended then return nil end
      at = look(#text + 1)
    else
      local sign = text:byte(place)
      if sign == QUOTE then
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
end

local function after_space(at)
  while true do
    local sign = text:byte(at)
    local place = sign and sign > SPACE and at or text:find("[^ \\t\\r\\n]", at)
    if place and (ended or #text - place >= WORD) then return place, text:byte(place) end
    if ended then return nil end
    at = look(place or #text + 1)
  end
end

local function after_literal(at)
  for _, literal in ipairs(LITERALS) do
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

local function word_between(seen, first, past)
  if seen ~= looks or past - first > WORD then return nil end
  return plain(text:sub(first, past - 2))
end

-- Returns the model or nil, and where the object's end or next comma is; false where unreadable.
local function model_of_pair(at)
  local seen, first = looks, at + 1
  at = after_string(first)
  local key = at and word_between(seen, first, at)
  local sign
  if at then at, sign = after_space(at) end
  if not at or sign ~= COLON then return false end
  at, sign = after_space(at + 1)
  if not at then return false end
  seen, first = looks, at + 1
  at = after_value(at, sign)
  if not at then return false end
  own.streams = own.streams or key == "stream" and sign == TRUE
  if not key or key:lower() ~= "{MODEL}" then return nil, at end
  local name = sign == QUOTE and key == "{MODEL}" and word_between(seen, first, at)
  if not name or name:find("[^ -~]") then return false end
  return name, at
end

local function model_of_object(at, sign)
  if sign ~= OPEN then return false end
  at, sign = after_space(at + 1)
  local model
  local last = sign == CLOSE
  while not last do
    if not at or sign ~= QUOTE or not step() then return false end
    local name
    name, at = model_of_pair(at)
    if name == false then return false end
    model = name or model
    at, sign = after_space(at)
    last = sign == CLOSE
    if not last then
      if sign ~= COMMA then return false end
      at, sign = after_space(at + 1)
    end
  end
  if after_space(at + 1) then return false end
  return model
end
{READ_FORM_SCRIPT}
local function tell(metadata, model, streams)
  local key = model and "{MODEL}" or model == nil and "{MISSING}" or "{UNREADABLE}"
  metadata:set("{METADATA}", key, model or "yes")
  if streams then metadata:set("{METADATA}", "{CONNECTION}", "close") end
end

local function let_go_of_the_rest(more)
  local piece = more()
  while piece do
    piece:setBytes("")
    piece = more()
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local path, length = headers:get(":path") or "", tonumber(headers:get("content-length") or "")
  own = {{more = handle:bodyChunks(), steps = 0, bytes = 0, length = length}}
  text, ended, chunk, taken, size = "", false, nil, 0, 0
  local model
  if path:sub(1, #AUDIO) == AUDIO then
    model = model_of_form(mark_of(headers:get("content-type") or ""))
  else
    local at, sign = after_space(1)
    if at then model = model_of_object(at, sign) end
  end
  local body = own
  own, text, chunk = nil, nil, nil
  if not body.refused then
    tell(handle:streamInfo():dynamicMetadata(), model, body.streams)
    handle:clearRouteCache()
  end
  if body.refused or not model then let_go_of_the_rest(body.more) end
  if body.share then give_back(body.share) end
end
"""


def read_model() -> Json:
    """Return the filter that reads the model's name out of the body.

    JSON is read as that whatever type it claims; only routes of audio take forms.
    """
    source: Json = {"inline_string": READ_MODEL_SCRIPT}
    return http_filter("read-model", "lua.v3.Lua", default_source_code=source)
