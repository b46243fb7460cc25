/*
 * Uses the module's C API for shared memory as other nginx modules do: adds a zone that
 * init_by_lua* waits for, and gives Lua a package that reads dictionaries from C.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <lauxlib.h>
#include <lua.h>

typedef struct {
    uint8_t         type;
    union {
        int         b;
        lua_Number  n;
        ngx_str_t   s;
    } value;
} ngx_http_lua_value_t;

ngx_int_t ngx_http_lua_add_package_preload(ngx_conf_t *cf, const char *package,
    lua_CFunction func);
ngx_int_t ngx_http_lua_shared_dict_get(ngx_shm_zone_t *shm_zone, u_char *key_data,
    size_t key_len, ngx_http_lua_value_t *value);
ngx_shm_zone_t *ngx_http_lua_find_zone(u_char *name_data, size_t name_len);
ngx_shm_zone_t *ngx_http_lua_shared_memory_add(ngx_conf_t *cf, ngx_str_t *name, size_t size,
    void *tag);

extern ngx_module_t  ngx_http_zone_user_module;

static ngx_shm_zone_t  *zone;
static int              same_zone;
static int              inits;
static int              inits_with_old_data;
static int              the_data;

static ngx_int_t
zone_user_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    if (shm_zone != zone || shm_zone->shm.addr == NULL || shm_zone->data != &the_data) {
        return NGX_ERROR;
    }

    inits++;
    inits_with_old_data += data == &the_data;
    return NGX_OK;
}

/* initialised() -> how often the zone was, how often with old data, whether added once */
static int
zone_user_initialised(lua_State *L)
{
    lua_pushinteger(L, inits);
    lua_pushinteger(L, inits_with_old_data);
    lua_pushboolean(L, same_zone);
    return 3;
}

/* get(zone, key) -> nil where there is no such zone, else the result, the type, the value */
static int
zone_user_get(lua_State *L)
{
    size_t                 name_len, key_len;
    u_char                 buffer[8];
    u_char                *name = (u_char *) luaL_checklstring(L, 1, &name_len);
    u_char                *key = (u_char *) luaL_checklstring(L, 2, &key_len);
    ngx_int_t              rc;
    ngx_shm_zone_t        *dict = ngx_http_lua_find_zone(name, name_len);
    ngx_http_lua_value_t   value;

    if (dict == NULL) {
        return 0;
    }

    ngx_memzero(&value, sizeof(value));
    value.value.s.data = buffer;
    value.value.s.len = sizeof(buffer);

    rc = ngx_http_lua_shared_dict_get(dict, key, key_len, &value);
    lua_pushinteger(L, rc);

    if (rc != NGX_OK) {
        return 1;
    }

    lua_pushinteger(L, value.type);

    switch (value.type) {
    case LUA_TSTRING:
        lua_pushlstring(L, (char *) value.value.s.data, value.value.s.len);
        break;
    case LUA_TNUMBER:
        lua_pushnumber(L, value.value.n);
        break;
    default:
        lua_pushboolean(L, value.value.b);
    }

    return 3;
}

static int
zone_user_open(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, zone_user_get);
    lua_setfield(L, -2, "get");
    lua_pushcfunction(L, zone_user_initialised);
    lua_setfield(L, -2, "initialised");
    return 1;
}

static ngx_int_t
zone_user_preconfiguration(ngx_conf_t *cf)
{
    ngx_str_t  name = ngx_string("user");

    zone = ngx_http_lua_shared_memory_add(cf, &name, 65536, &ngx_http_zone_user_module);
    if (zone == NULL || zone->data != NULL) {
        return NGX_ERROR;
    }

    zone->init = zone_user_init_zone;
    zone->data = &the_data;

    same_zone = zone == ngx_http_lua_shared_memory_add(cf, &name, 65536,
                                                       &ngx_http_zone_user_module);

    return ngx_http_lua_add_package_preload(cf, "zone.user", zone_user_open);
}

static ngx_http_module_t  ngx_http_zone_user_module_ctx = {
    zone_user_preconfiguration,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL
};

ngx_module_t  ngx_http_zone_user_module = {
    NGX_MODULE_V1,
    &ngx_http_zone_user_module_ctx,
    NULL,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};

ngx_module_t  *ngx_modules[] = { &ngx_http_zone_user_module, NULL };
char  *ngx_module_names[] = { "ngx_http_zone_user_module", NULL };
char  *ngx_module_order[] = { NULL };
