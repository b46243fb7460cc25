/*
 * Calls the module's C API as other nginx modules do: gives Lua a package before the VM is made
 * and another after it, both with functions that look at what the API returns.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <lauxlib.h>
#include <lua.h>

lua_State *ngx_http_lua_get_global_state(ngx_conf_t *cf);
ngx_http_request_t *ngx_http_lua_get_request(lua_State *L);
ngx_int_t ngx_http_lua_add_package_preload(ngx_conf_t *cf, const char *package,
    lua_CFunction func);

static lua_State *early_state;
static lua_State *late_state;

/* The URI of the request that the calling coroutine runs for, or nil. */
static int
caller_uri(lua_State *L)
{
    ngx_http_request_t  *r = ngx_http_lua_get_request(L);

    if (r == NULL) {
        lua_pushnil(L);
        return 1;
    }

    lua_pushlstring(L, (char *) r->uri.data, r->uri.len);
    return 1;
}

/* Which VMs the configuration had: before it was made, and then. */
static int
caller_states(lua_State *L)
{
    lua_pushboolean(L, early_state == NULL);
    lua_pushboolean(L, late_state != NULL);
    lua_pushboolean(L, late_state != NULL
                       && lua_topointer(L, LUA_REGISTRYINDEX)
                          == lua_topointer(late_state, LUA_REGISTRYINDEX));
    return 3;
}

static int
caller_open_early(lua_State *L)
{
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, caller_uri);
    lua_setfield(L, -2, "uri");
    return 1;
}

static int
caller_open_late(lua_State *L)
{
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, caller_states);
    lua_setfield(L, -2, "states");
    return 1;
}

static ngx_int_t
caller_preconfiguration(ngx_conf_t *cf)
{
    early_state = ngx_http_lua_get_global_state(cf);
    return ngx_http_lua_add_package_preload(cf, "caller.early", caller_open_early);
}

static ngx_int_t
caller_postconfiguration(ngx_conf_t *cf)
{
    late_state = ngx_http_lua_get_global_state(cf);
    return ngx_http_lua_add_package_preload(cf, "caller.late", caller_open_late);
}

static ngx_http_module_t  ngx_http_caller_module_ctx = {
    caller_preconfiguration,
    caller_postconfiguration,
    NULL, NULL, NULL, NULL, NULL, NULL
};

ngx_module_t  ngx_http_caller_module = {
    NGX_MODULE_V1,
    &ngx_http_caller_module_ctx,
    NULL,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};

ngx_module_t  *ngx_modules[] = { &ngx_http_caller_module, NULL };
char  *ngx_module_names[] = { "ngx_http_caller_module", NULL };
char  *ngx_module_order[] = { NULL };
