-- The whole job in Lua, as well as Debian's packages allow: parse the form, verify the token (HS256), judge every attribute,
-- write the form anew. lua-cjson reads and writes JSON (both in C). The HMAC is OpenSSL's, called through LuaJIT's FFI with a key
-- that was set up once: Debian has no lua-resty-hmac, and any binding would cost more.
--
-- What it does less than the gateway: lua-cjson keeps the last of two equal names and turns numbers into doubles, the order of
-- fields is lost, and names are not folded (an unlisted name is left out, so no other spelling gets through).

local cjson = require "cjson.safe"
local base64 = require "ngx.base64"
local ffi = require "ffi"
local crypto = ffi.C

ffi.cdef [[
typedef struct evp_md_st EVP_MD;
typedef struct hmac_ctx_st HMAC_CTX;
const EVP_MD *EVP_sha256(void);
HMAC_CTX *HMAC_CTX_new(void);
int HMAC_Init_ex(HMAC_CTX *ctx, const void *key, int len, const EVP_MD *md, void *impl);
int HMAC_Update(HMAC_CTX *ctx, const char *data, size_t len);
int HMAC_Final(HMAC_CTX *ctx, unsigned char *md, unsigned int *len);
int CRYPTO_memcmp(const void *a, const void *b, size_t len);
]]

local ORIGIN = "@ORIGIN@"
local APP_ID = "abc12345"
local LEEWAY_SECONDS = 30
local LIFETIME_SECONDS_MAX = 7200

local SETTINGS = { user_id = true, anonymous_id = true, page_title = true, app_id = true }
local CREDENTIALS = { intercom_user_jwt = true, user_hash = true, auth_tokens = true }

local function text(length_max)
    return function(value) return type(value) == "string" and #value <= length_max end
end

local PLANS = { free = true, pro = true, enterprise = true }

local CATALOGUE = {
    email = { locked = true, fits = function(value) return type(value) == "string" and value:find("^[^@%s]+@[^@%s]+$") ~= nil end },
    plan = { locked = true, fits = function(value) return PLANS[value] == true end },
    seats = { locked = true, fits = function(value) return type(value) == "number" and value % 1 == 0 end },
    phone = { locked = true, fits = text(32) },
    name = { locked = false, fits = text(64) },
}
for index = 0, @LISTED@ - 1 do
    CATALOGUE[("attr_%04d"):format(index)] = { locked = index % @LOCKED_EVERY@ == 0, fits = text(65536) }
end

local context = crypto.HMAC_CTX_new()
assert(crypto.HMAC_Init_ex(context, "@SECRET@", #"@SECRET@", crypto.EVP_sha256(), nil) == 1)
local tag = ffi.new("unsigned char[32]")

local function signature_is_good(message, signature)
    if #signature ~= 32 then return false end
    crypto.HMAC_Init_ex(context, nil, 0, nil, nil)
    crypto.HMAC_Update(context, message, #message)
    crypto.HMAC_Final(context, tag, nil)
    return crypto.CRYPTO_memcmp(tag, signature, 32) == 0
end

-- The claims of a good token, or nil.
local function verify(token)
    if type(token) ~= "string" or #token > 4096 then return nil end
    local first = token:find(".", 1, true)
    local second = first and token:find(".", first + 1, true)
    if not second then return nil end
    local header = cjson.decode(base64.decode_base64url(token:sub(1, first - 1)) or "")
    if type(header) ~= "table" or header.alg ~= "HS256" or header.crit ~= nil then return nil end
    local signature = base64.decode_base64url(token:sub(second + 1))
    if not signature or not signature_is_good(token:sub(1, second - 1), signature) then return nil end
    local claims = cjson.decode(base64.decode_base64url(token:sub(first + 1, second - 1)) or "")
    if type(claims) ~= "table" then return nil end
    local now = ngx.time()
    local exp, iat, nbf = claims.exp, claims.iat, claims.nbf
    if type(exp) ~= "number" or exp + LEEWAY_SECONDS <= now then return nil end
    if nbf and (type(nbf) ~= "number" or nbf - LEEWAY_SECONDS > now) then return nil end
    if type(iat) ~= "number" or iat - LEEWAY_SECONDS > now or exp - iat > LIFETIME_SECONDS_MAX then return nil end
    return claims
end

local function judge(user_data, claims)
    local kept, verdicts, count = {}, {}, 0
    for name, value in pairs(user_data) do
        if SETTINGS[name] or CREDENTIALS[name] then
            kept[name] = value
        else
            local entry, verdict = CATALOGUE[name], nil
            local signed = claims and claims[name]
            if not entry then
                verdict = "unlisted"
            elseif signed ~= nil then
                verdict = signed == value and "signed" or "overridden"
                kept[name] = signed
            elseif entry.locked then
                verdict = "locked"
            elseif not entry.fits(value) then
                verdict = "type"
            else
                verdict = "open"
                kept[name] = value
            end
            count = count + 1
            verdicts[count] = name .. "=" .. verdict
        end
    end
    return kept, table.concat(verdicts, " ")
end

local M = {}

function M.pass()
    if ngx.req.get_method() ~= "POST" then return ngx.exit(405) end
    if ngx.var.http_origin ~= ORIGIN then return ngx.exit(403) end
    if ngx.var.content_type ~= "application/x-www-form-urlencoded" then return ngx.exit(415) end
    ngx.req.read_body()
    local form, problem = ngx.req.get_post_args(200)
    if not form or problem then return ngx.exit(400) end
    for _, value in pairs(form) do
        if type(value) ~= "string" then return ngx.exit(400) end
    end
    if form.app_id ~= APP_ID then return ngx.exit(403) end
    local user_data = cjson.decode(form.user_data or "{}")
    if type(user_data) ~= "table" then return ngx.exit(400) end
    local claims = nil
    if user_data.intercom_user_jwt ~= nil then
        claims = verify(user_data.intercom_user_jwt)
        if not claims or (user_data.user_id ~= nil and user_data.user_id ~= claims.user_id) then return ngx.exit(403) end
    elseif user_data.user_id ~= nil then
        return ngx.exit(403)
    end
    local kept, verdicts = judge(user_data, claims)
    form.user_data = cjson.encode(kept)
    ngx.req.set_body_data(ngx.encode_args(form))
    ngx.var.verdicts = verdicts
end

return M
