"""How an Envoy learns which model a form names: audio comes as one, not as JSON. Pure.

The part of the script that reads bodies which steps from part to part, and looks at their headers
only. It takes what clients write and nothing looser: what two readers could understand in two ways
is refused, as it is of JSON.
"""

AUDIO_PREFIX = "/v1/audio/"
MOST_PARTS = 64

READ_FORM_SCRIPT = r"""
local AUDIO, MOST_PARTS = "AUDIO_PREFIX", NUMBER_OF_PARTS

-- Has so many bytes from `at` in the text, if so many come; returns where `at` is then.
local function have(at, count)
  while #text - at + 1 < count and not ended do at = look(at) end
  return at
end

local function mark_of(kind)
  local said = kind:match("^[Mm]ultipart/[Ff]orm%-[Dd]ata; ?boundary=(.+)$") or ""
  local word = said:match("^\"([%w'()+_./:=?%-]+)\"$") or said:match("^[%w'()+_./:=?%-]+$")
  return word and #word <= 70 and "--" .. word
end

-- Returns where the next mark on a line of its own is, if the first mark is one.
local function next_mark(mark, at)
  local found = text:find(mark, at, true)
  while not found and not ended do
    at = look(math.max(at, #text - #mark))
    found = text:find(mark, at, true)
  end
  return found and found - 2 >= at and text:sub(found - 2, found - 1) == "\r\n" and found
end

local function is_of_file(more)
  more = more:gsub("\\\\", ""):gsub('^; filename="[^"\\]*"', "", 1)
  return more:gsub("^; filename%*=[%w%-]*'[%w%-]*'[%w%%!#$&+^_`|~.%-]*", "", 1) == ""
end

-- Returns the name of a field and whether it is anything but plain; nil where unreadable.
local function field_of(head)
  local name, odd
  for line in head:gmatch("(.-)\r\n") do
    local key, value = line:match("^([%w%-]+): ?([^%c]*)$")
    if not key then return nil end
    key = key:lower()
    if key == "content-disposition" then
      local said, more = value:match('^form%-data; name="([%w_.%[%]%-]+)"(.*)$')
      if name or not said or not is_of_file(more) then return nil end
      name, odd = said, odd or more ~= ""
    end
    odd = odd or key == "content-transfer-encoding"
  end
  return name, odd
end

-- Returns a field's name, whether it is odd, and where its content begins.
local function field_at(at, mark)
  local head = text:sub(at, at + WORD - 1)
  local stop = head:find("\r\n\r\n", 1, true)
  if not stop or head:sub(1, stop):find(mark, 1, true) then return nil end
  local name, odd = field_of(head:sub(1, stop + 1))
  return name, odd, at + stop + 3
end

-- Returns the model or nil; false where unreadable.
local function model_of_form(mark)
  local at, model = mark and have(1, #mark), nil
  if not mark or text:sub(1, #mark) ~= mark then return false end
  for _ = 1, MOST_PARTS do
    at = have(at + #mark, WORD + 2)
    local follow = text:sub(at, at + 1)
    if follow == "--" then
      local rest = text:sub(at + 2)
      return (rest == "" or rest == "\r\n") and model
    end
    local name, odd, first = field_at(at + 2, mark)
    if follow ~= "\r\n" or not name then return false end
    first = have(first, WORD + 2 + #mark)
    local seen = looks
    at = next_mark(mark, first)
    if not at then return false end
    if name:lower() == "model" then
      if name ~= "model" or odd or model or seen ~= looks then return false end
      model = text:sub(first, at - 3)
      if #model > WORD or model:find("[^ -~]") then return false end
    end
  end
  return false
end
""".replace("AUDIO_PREFIX", AUDIO_PREFIX).replace("NUMBER_OF_PARTS", str(MOST_PARTS))
