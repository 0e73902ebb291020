-- wrk: the same chat request for one caller after another. Arguments: a file of callers, an API key a line and perhaps a
-- user, the upstream that Portkey is to call, and what X-Holdfast-Cache is to say, if anything.
local requests = {}
local at = 0

function init(args)
  local body = '{"model":"gpt-4o-mini","max_tokens":64,"messages":[{"role":"user","content":"Say in one sentence what a hold is."}]}'
  for line in io.lines(args[1]) do
    local key, user = line:match("^(%S+) ?(%S*)$")
    requests[#requests + 1] = wrk.format("POST", nil, {
      ["Content-Type"] = "application/json",
      ["Authorization"] = "Bearer " .. key,
      ["x-portkey-provider"] = "openai",
      ["x-portkey-custom-host"] = args[2],
      ["X-Holdfast-Cache"] = args[3],
      ["X-Holdfast-User"] = user ~= "" and user or nil,
    }, body)
  end
  math.randomseed(os.time() + tonumber(tostring(requests):match("0x(%x+)"), 16) % 1000003)
  at = math.random(#requests)
end

function request()
  at = at % #requests + 1
  return requests[at]
end
