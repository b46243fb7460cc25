-- jit.on where the system forbids what the compiler needs: it acts on single functions only, for
-- with the compiler on the process would end.
local on = jit.on

function jit.on(target, ...)
    if target ~= nil then
        return on(target, ...)
    end
end
