-- What ngx.location.capture gives: one table for each response. Without `header`, there are no headers but the two
-- that follow, which may be nil.
local status, truncated, body, header, content_type, content_length = ...

return {
    status = status,
    truncated = truncated,
    body = body,
    header = header or { ["Content-Type"] = content_type, ["Content-Length"] = content_length },
}
