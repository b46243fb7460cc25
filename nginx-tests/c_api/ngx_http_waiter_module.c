/*
 * C functions that make a Lua coroutine wait, as other nginx modules do: for a timer of nginx's, for
 * another coroutine's call, or for nobody. What the module holds of a coroutine is kept beyond its end.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include <lauxlib.h>
#include <lua.h>

typedef struct ngx_http_lua_co_ctx_s  ngx_http_lua_co_ctx_t;

ngx_http_request_t *ngx_http_lua_get_request(lua_State *L);
ngx_int_t ngx_http_lua_add_package_preload(ngx_conf_t *cf, const char *package,
    lua_CFunction func);
ngx_http_lua_co_ctx_t *ngx_http_lua_get_cur_co_ctx(ngx_http_request_t *r);
void ngx_http_lua_set_cur_co_ctx(ngx_http_request_t *r,
    ngx_http_lua_co_ctx_t *coctx);
lua_State *ngx_http_lua_get_co_ctx_vm(ngx_http_lua_co_ctx_t *coctx);
void *ngx_http_lua_get_co_ctx_data(ngx_http_lua_co_ctx_t *coctx);
void ngx_http_lua_set_co_ctx_cleanup(ngx_http_lua_co_ctx_t *coctx,
    ngx_http_cleanup_pt cleanup, void *data);
void ngx_http_lua_cleanup_co_ctx_pending_operation(
    ngx_http_lua_co_ctx_t *coctx);
void ngx_http_lua_co_ctx_resume_helper(ngx_http_lua_co_ctx_t *coctx, int nrets);
int ngx_http_lua_get_lua_http10_buffering(ngx_http_request_t *r);

typedef struct {
    ngx_event_t             event;
    ngx_http_request_t     *request;
    ngx_http_lua_co_ctx_t  *coctx;
    int                     result;
    unsigned                used:1;
} waiter_t;

static waiter_t                waiters[64];
static ngx_http_lua_co_ctx_t  *last;
static int                     resumed, cancelled, misused;

/* The coroutine ends, or waits for something else. */
static void
waiter_cancel(void *data)
{
    ngx_http_lua_co_ctx_t  *coctx = data;
    waiter_t               *waiter = ngx_http_lua_get_co_ctx_data(coctx);

    cancelled++;

    if (waiter < waiters || waiter >= waiters + 64 || waiter->coctx != coctx) {
        misused++;
        return;
    }

    if (waiter->event.timer_set) {
        ngx_del_timer(&waiter->event);
    }

    waiter->used = 0;
    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0, "waiter cancelled");

    /* Too late: nothing comes of it. */
    ngx_http_lua_co_ctx_resume_helper(coctx, 0);
}

static void
waiter_fire(ngx_event_t *ev)
{
    lua_State  *co;
    waiter_t   *waiter = ev->data;

    resumed++;
    waiter->used = 0;
    co = ngx_http_lua_get_co_ctx_vm(waiter->coctx);

    /* The way of modules that know no cleanups. */
    ngx_http_lua_set_cur_co_ctx(waiter->request, waiter->coctx);

    if (ngx_http_lua_get_cur_co_ctx(waiter->request) != waiter->coctx
        || ngx_http_lua_get_co_ctx_data(waiter->coctx) != waiter->request)
    {
        misused++;
    }

    lua_pushinteger(co, waiter->result);
    lua_pushliteral(co, "done");
    ngx_http_lua_co_ctx_resume_helper(waiter->coctx, 2);
}

/* A waiter for the running coroutine, or NULL with an error raised. */
static waiter_t *
waiter_new(lua_State *L)
{
    int                 i;
    waiter_t           *waiter = NULL;
    ngx_http_request_t *r = ngx_http_lua_get_request(L);

    for (i = 0; i < 64 && waiter == NULL; i++) {
        waiter = waiters[i].used ? NULL : &waiters[i];
    }

    if (waiter == NULL || r == NULL || ngx_http_lua_get_cur_co_ctx(r) == NULL) {
        luaL_error(L, "cannot wait here");
        return NULL;
    }

    ngx_memzero(waiter, sizeof(waiter_t));
    waiter->request = r;
    waiter->coctx = ngx_http_lua_get_cur_co_ctx(r);
    waiter->event.handler = waiter_fire;
    waiter->event.data = waiter;
    waiter->event.log = ngx_cycle->log;
    waiter->used = 1;
    last = waiter->coctx;

    if (ngx_http_lua_get_cur_co_ctx(r) != waiter->coctx
        || ngx_http_lua_get_co_ctx_vm(waiter->coctx) != L)
    {
        misused++;
    }

    return waiter;
}

/* waiter.sleep(milliseconds, result): result, "done" */
static int
waiter_sleep(lua_State *L)
{
    int        ms = luaL_checkint(L, 1);
    waiter_t  *waiter = waiter_new(L);

    waiter->result = luaL_optint(L, 2, 0);
    ngx_http_lua_set_co_ctx_cleanup(waiter->coctx, waiter_cancel, waiter);
    ngx_add_timer(&waiter->event, ms);
    return lua_yield(L, 0);
}

/* waiter.block(): what waiter.wake gives; no cleanup, nobody who would end it. */
static int
waiter_block(lua_State *L)
{
    waiter_new(L)->used = 0;
    return lua_yield(L, 0);
}

/* waiter.start(milliseconds, result): as sleep, but the caller goes on, or yields by itself. */
static int
waiter_start(lua_State *L)
{
    int        ms = luaL_checkint(L, 1);
    waiter_t  *waiter = waiter_new(L);

    waiter->result = luaL_optint(L, 2, 0);
    ngx_http_lua_set_co_ctx_cleanup(waiter->coctx, waiter_cancel, waiter);
    ngx_add_timer(&waiter->event, ms);
    return 0;
}

/* waiter.last(): what the module holds of the coroutine that waited last. */
static int
waiter_last(lua_State *L)
{
    lua_pushlightuserdata(L, last);
    return 1;
}

/* waiter.current(): the same of the running one; nil where none is. */
static int
waiter_current(lua_State *L)
{
    ngx_http_lua_co_ctx_t  *coctx;

    coctx = ngx_http_lua_get_cur_co_ctx(ngx_http_lua_get_request(L));

    if (coctx == NULL) {
        lua_pushnil(L);

    } else {
        lua_pushlightuserdata(L, coctx);
    }

    return 1;
}

/* waiter.wake(held, value): resumes it. */
static int
waiter_wake(lua_State *L)
{
    ngx_http_lua_co_ctx_t  *coctx = lua_touserdata(L, 1);
    lua_State              *co = ngx_http_lua_get_co_ctx_vm(coctx);

    if (co != NULL && co != L) {
        lua_pushinteger(co, luaL_optint(L, 2, 0));
        ngx_http_lua_co_ctx_resume_helper(coctx, 1);

    } else {
        ngx_http_lua_co_ctx_resume_helper(coctx, 1000);
    }

    lua_pushboolean(L, co != NULL);
    return 1;
}

/* waiter.cancel(held): cancels what it waits for. */
static int
waiter_cancel_pending(lua_State *L)
{
    ngx_http_lua_cleanup_co_ctx_pending_operation(lua_touserdata(L, 1));
    return 0;
}

/* waiter.known(held): whether any function finds it. */
static int
waiter_known(lua_State *L)
{
    ngx_http_lua_co_ctx_t  *coctx = lua_touserdata(L, 1);

    ngx_http_lua_set_cur_co_ctx(ngx_http_lua_get_request(L), coctx);
    ngx_http_lua_set_co_ctx_cleanup(coctx, NULL, coctx);
    lua_pushboolean(L, ngx_http_lua_get_co_ctx_vm(coctx) != NULL
                       || ngx_http_lua_get_co_ctx_data(coctx) != NULL);
    return 1;
}

static int
waiter_buffering(lua_State *L)
{
    lua_pushinteger(L,
                    ngx_http_lua_get_lua_http10_buffering(
                        ngx_http_lua_get_request(L)));
    return 1;
}

/* waiter.counts(): resumed, cancelled, misused, set to 0 then. */
static int
waiter_counts(lua_State *L)
{
    lua_pushfstring(L, "%d resumed, %d cancelled, %d misused", resumed,
                    cancelled, misused);
    resumed = cancelled = misused = 0;
    return 1;
}

static luaL_Reg  functions[] = {
    { "sleep", waiter_sleep },
    { "block", waiter_block },
    { "start", waiter_start },
    { "last", waiter_last },
    { "current", waiter_current },
    { "wake", waiter_wake },
    { "cancel", waiter_cancel_pending },
    { "known", waiter_known },
    { "buffering", waiter_buffering },
    { "counts", waiter_counts },
    { NULL, NULL }
};

static int
waiter_open(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}

static ngx_int_t
waiter_postconfiguration(ngx_conf_t *cf)
{
    return ngx_http_lua_add_package_preload(cf, "waiter", waiter_open);
}

static ngx_http_module_t  ngx_http_waiter_module_ctx = {
    NULL,
    waiter_postconfiguration,
    NULL, NULL, NULL, NULL, NULL, NULL
};

ngx_module_t  ngx_http_waiter_module = {
    NGX_MODULE_V1,
    &ngx_http_waiter_module_ctx,
    NULL,
    NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};

ngx_module_t  *ngx_modules[] = { &ngx_http_waiter_module, NULL };
char  *ngx_module_names[] = { "ngx_http_waiter_module", NULL };
char  *ngx_module_order[] = { NULL };
