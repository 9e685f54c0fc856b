-- The requests that runs/explorer-load.sh makes with wrk. KIND is page (the same PAGE again and again), or one of
-- latents, sublatents, lists, searches, api, or a mix of them (another one with each request). SHAPE is
-- "RUN EXPERTS SUBLATENTS", WORDS are words to search for, SEED chooses.
local run, experts, sublatents = os.getenv("SHAPE"):match("(%S+) (%d+) (%d+)")
local kind, words = os.getenv("KIND"), {}
for word in os.getenv("WORDS"):gmatch("%S+") do words[#words + 1] = word end
math.randomseed(tonumber(os.getenv("SEED")))

local base = "/runs/" .. run .. "/latents"
local orders = { "density", "maximum", "live", "score" }
local expert = function() return math.random(0, experts - 1) end
local ways = {
  page = function() return os.getenv("PAGE") end,
  latents = function() return base .. "/" .. expert() end,
  sublatents = function() return base .. "/" .. expert() .. "." .. math.random(0, sublatents - 1) end,
  lists = function()
    local page = math.random(0, math.floor((experts - 1) / 50))
    return base .. "?sort=" .. orders[math.random(#orders)] .. "&offset=" .. 50 * page
  end,
  searches = function() return base .. "?q=" .. words[math.random(#words)] end,
  api = function() return "/api/v1" .. base .. "/" .. expert() end,
}
local mix = { "latents", "latents", "sublatents", "sublatents", "lists", "searches", "api" }
request = function()
  return wrk.format("GET", ways[kind == "mix" and mix[math.random(#mix)] or kind]())
end

-- Milliseconds that the server took for each answer, from its own header.
times = {}
response = function(_, headers)
  times[#times + 1] = tonumber((headers["Server-Timing"] or ""):match("dur=([%d.]+)"))
end
local threads = {}
setup = function(thread) threads[#threads + 1] = thread end

-- One row of a table: what, requests, requests a second, median and 99 % in ms at the client, 99 % at the server,
-- failures.
done = function(summary, latency)
  local taken = {}
  for _, thread in ipairs(threads) do
    for _, time in ipairs(thread:get("times")) do taken[#taken + 1] = time end
  end
  table.sort(taken)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("| %s | %d | %.0f | %.1f | %.1f | %.1f | %d |\n",
    kind == "page" and os.getenv("PAGE") or kind, summary.requests,
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, taken[math.max(1, math.floor(#taken * 0.99))] or 0, failed))
end
