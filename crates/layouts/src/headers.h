/* The headers whose structures are compared: those of which the crate nginx-sys makes bindings. */

#include <ngx_config.h>
#include <ngx_core.h>

#if __has_include(<ngx_http.h>)
#include <ngx_http.h>
#endif

#if __has_include(<ngx_stream.h>)
#include <ngx_stream.h>
#endif
