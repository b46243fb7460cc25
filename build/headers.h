/* nginx headers, or parts of them, that nginx-sys does not bind. */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_md5.h>
