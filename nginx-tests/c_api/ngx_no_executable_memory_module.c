/* In each worker, memory that was written may not be executed any more (Linux's PR_SET_MDWE). */

#include <ngx_config.h>
#include <ngx_core.h>
#include <sys/prctl.h>

static ngx_int_t
ngx_no_executable_memory_init_process(ngx_cycle_t *cycle)
{
    return prctl(65, 1L, 0L, 0L, 0L) == 0 ? NGX_OK : NGX_ERROR;
}

static ngx_core_module_t  ngx_no_executable_memory_ctx = {
    ngx_string("no_executable_memory"), NULL, NULL
};

ngx_module_t  ngx_no_executable_memory_module = {
    NGX_MODULE_V1,
    &ngx_no_executable_memory_ctx,
    NULL,
    NGX_CORE_MODULE,
    NULL,
    NULL,
    ngx_no_executable_memory_init_process,
    NULL,
    NULL,
    NULL,
    NULL,
    NGX_MODULE_V1_PADDING
};

ngx_module_t  *ngx_modules[] = { &ngx_no_executable_memory_module, NULL };
char  *ngx_module_names[] = { "ngx_no_executable_memory_module", NULL };
/* Its worker hook runs before that of the Lua module. */
char  *ngx_module_order[] = { "ngx_no_executable_memory_module", "ngx_http_lua_module", NULL };
