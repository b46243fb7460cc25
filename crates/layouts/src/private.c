/* Compares declarations in src/nginx/sys.h with nginx's own, which are in its C files. It does not compile
 * where they differ. */

#include "../../../src/nginx/sys.h"
#include <modules/ngx_http_rewrite_module.c>
#if (NGX_HTTP_REALIP)
#include <modules/ngx_http_realip_module.c>
#endif

#define SAME(own, its, member)                                                                     \
    _Static_assert(offsetof(own, member) == offsetof(its, member),                                 \
                   #member " of " #its " is not where src/nginx/sys.h has it")

SAME(lua_rewrite_conf_t, ngx_http_rewrite_loc_conf_t, codes);
SAME(lua_rewrite_conf_t, ngx_http_rewrite_loc_conf_t, stack_size);
SAME(lua_rewrite_conf_t, ngx_http_rewrite_loc_conf_t, log);
SAME(lua_rewrite_conf_t, ngx_http_rewrite_loc_conf_t, uninitialized_variable_warn);

#if (NGX_HTTP_REALIP)
SAME(lua_realip_ctx_t, ngx_http_realip_ctx_t, connection);
SAME(lua_realip_ctx_t, ngx_http_realip_ctx_t, sockaddr);
SAME(lua_realip_ctx_t, ngx_http_realip_ctx_t, socklen);
SAME(lua_realip_ctx_t, ngx_http_realip_ctx_t, addr_text);
#endif
