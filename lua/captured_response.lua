-- What ngx.location.capture gives: one table for each response.
local status, truncated, body, header = ...

return { status = status, truncated = truncated, body = body, header = header }
