-- The job as a user of nginx with Lua would write it: a subrequest fetches, cjson parses, what is granted is encoded.
--
-- init(file) once, of JSON {"tokens": {token: profile}, "matrix": {profile: [rubric]}}; answer() for each request.
local cjson = require "cjson"
local capture, exit = ngx.location.capture, ngx.exit

local redact = {}
local profiles, granted

function redact.init(file)
  local opened = assert(io.open(file))
  local rules = cjson.decode(opened:read("*a"))
  opened:close()
  profiles, granted = rules.tokens, rules.matrix
end

function redact.answer()
  local header = ngx.var.http_authorization
  local profile = header and header:sub(1, 7) == "Bearer " and profiles[header:sub(8)]
  if not profile then
    return exit(401)
  end
  local answer = capture("/backend" .. ngx.var.uri)
  if answer.status ~= 200 then
    return exit(502)
  end
  local document = cjson.decode(answer.body)
  local rubrics, kept = document.rubriques, {}
  for _, rubric in ipairs(granted[profile]) do
    kept[rubric] = rubrics[rubric]
  end
  local text = cjson.encode({ numero = document.numero, caisse = document.caisse, rubriques = kept })
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Content-Length"] = #text
  ngx.print(text)
end

return redact
