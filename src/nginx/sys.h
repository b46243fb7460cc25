/* What the crate nginx-sys leaves out, for bindgen: macros that are expressions, return codes as the type
 * that nginx returns, and what nginx has in a C file. build.rs takes LUA_ off the names. */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#define VALUE(name) static const ngx_int_t LUA_##name = name

VALUE(NGX_OK);
VALUE(NGX_ERROR);
VALUE(NGX_AGAIN);
VALUE(NGX_READ_EVENT);
VALUE(NGX_WRITE_EVENT);

/* What a module of Angie says that it was built for. */
#ifdef NGX_ANGIE_SIGN
static const ngx_uint_t LUA_ANGIE_SIGN = ngx_angie_sign;
static const ngx_uint_t LUA_ANGIE_VERSION = angie_version;
#endif

/* The rewrite module's configuration of a location, `ngx_http_rewrite_loc_conf_t`, which nginx has in a C file:
 * crates/layouts compares them. */
typedef struct {
    void *codes; /* ngx_array_t * */
    ngx_uint_t stack_size;
    ngx_flag_t log;
    ngx_flag_t uninitialized_variable_warn;
} lua_rewrite_conf_t;

/* What the realip module keeps with a request, `ngx_http_realip_ctx_t`, likewise: the address that the client's
 * connection had before. */
typedef struct {
    void *connection; /* ngx_connection_t * */
    void *sockaddr;   /* struct sockaddr * */
    socklen_t socklen;
    ngx_str_t addr_text;
} lua_realip_ctx_t;
