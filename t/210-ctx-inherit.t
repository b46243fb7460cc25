# lua_ctx_inherit, a directive of this module only: ngx.ctx stays when nginx sends a request elsewhere.

use Test::Nginx::Socket::Lua;

if ( ( $ENV{TEST_NGINX_LOAD_MODULES} || '' ) =~ m{/nginx/modules/ngx_http_lua_module} ) {
    plan( skip_all => 'the C module has no lua_ctx_inherit' );
}
else {
    repeat_each(2);
    plan( tests => repeat_each() * ( blocks() * 3 + 3 ) );
}

no_long_string();

add_block_preprocessor(
    sub {
        my $block = shift;
        $block->set_value( request => 'GET /t' ) unless $block->request;
        $block->set_value( no_error_log => '[crit]' );
    }
);

run_tests();

__DATA__

=== TEST 1: an error page; log_by_lua sees the table too
--- config
    lua_ctx_inherit on;
    error_page 503 /page;
    location = /t {
        access_by_lua_block {
            ngx.ctx.seen = { "access" }
            ngx.exit(503)
        }
    }
    location = /page {
        internal;
        content_by_lua_block {
            table.insert(ngx.ctx.seen, "page")
            ngx.say(table.concat(ngx.ctx.seen, " "))
        }
        log_by_lua_block {
            ngx.log(ngx.WARN, "seen: ", table.concat(ngx.ctx.seen, " "), ".")
        }
    }
--- error_code: 503
--- response_body
access page
--- error_log
seen: access page.



=== TEST 2: off by default
--- config
    error_page 503 /page;
    location = /t {
        access_by_lua_block {
            ngx.ctx.seen = "access"
            ngx.exit(503)
        }
    }
    location = /page {
        internal;
        content_by_lua_block { ngx.say(tostring(ngx.ctx.seen)) }
    }
--- error_code: 503
--- response_body
nil



=== TEST 3: ngx.exec, named locations, set_uri with a jump, through a location without Lua code
--- config
    lua_ctx_inherit on;
    location = /t {
        rewrite_by_lua_block {
            ngx.ctx.way = { "t" }
            ngx.exec("/plain")
        }
    }
    location = /plain {
        try_files /none @named;
    }
    location @named {
        rewrite_by_lua_block {
            if #ngx.ctx.way == 1 then
                table.insert(ngx.ctx.way, "named")
                ngx.req.set_uri("/last", true)
            end
        }
    }
    location = /last {
        content_by_lua_block {
            table.insert(ngx.ctx.way, "last")
            ngx.say(table.concat(ngx.ctx.way, " "))
        }
    }
--- response_body
t named last



=== TEST 4: the location that the request comes to decides; a table of its own is the last one
--- config
    location = /t {
        rewrite_by_lua_block {
            ngx.ctx.name = "t"
            ngx.exec("/off")
        }
    }
    location = /off {
        content_by_lua_block {
            if ngx.var.arg_own then
                ngx.ctx.name = "own"
            end
            ngx.exec("/on")
        }
    }
    location = /on {
        lua_ctx_inherit on;
        content_by_lua_block { ngx.say(ngx.ctx.name) }
    }
--- response_body
t



=== TEST 5: in an if block
--- config
    location = /t {
        rewrite_by_lua_block {
            ngx.ctx.name = "t"
            ngx.exec("/next", "inherit=1")
        }
    }
    location = /next {
        if ($arg_inherit) {
            lua_ctx_inherit on;
        }
        content_by_lua_block { ngx.say(ngx.ctx.name) }
    }
--- response_body
t



=== TEST 6: each request has its own, also those of one connection, and subrequests
--- config
    lua_ctx_inherit on;
    location = /t {
        content_by_lua_block {
            ngx.ctx.name = "parent"
            local answer = ngx.location.capture("/sub")
            ngx.say(answer.body, ", ", ngx.ctx.name)
        }
    }
    location = /sub {
        content_by_lua_block {
            local before = ngx.ctx.name
            ngx.ctx.name = "sub"
            ngx.exec("/after", { before = tostring(before) })
        }
    }
    location = /after {
        content_by_lua_block { ngx.print(ngx.var.arg_before, " ", ngx.ctx.name) }
    }
--- pipelined_requests eval
["GET /t", "GET /t"]
--- response_body eval
["nil sub, parent\n", "nil sub, parent\n"]



=== TEST 7: a page that nginx makes while code still writes: both use the same table
--- http_config
    lua_ctx_inherit on;
--- config
    error_page 418 = /page;
    location = /t {
        content_by_lua_block {
            ngx.ctx.name = "first"
            ngx.status = 200
            ngx.header["Content-Length"] = 6
            ngx.say("hello")
            ngx.ctx.name = "second"
        }
        header_filter_by_lua_block { return ngx.exit(418) }
        log_by_lua_block { ngx.log(ngx.WARN, "at the end: ", ngx.ctx.name, ".") }
    }
    location = /page {
        header_filter_by_lua_block { ngx.header["X-Name"] = ngx.ctx.name }
        log_by_lua_block { ngx.log(ngx.WARN, "at the end: ", ngx.ctx.name, ".") }
        return 200 "page\n";
    }
--- ignore_response
--- error_log eval
qr/at the end: (first|second)\./



=== TEST 8: without the code cache, the VM stays too
--- config
    lua_code_cache off;
    lua_ctx_inherit on;
    location = /t {
        rewrite_by_lua_block {
            ngx.ctx.name = "t"
            ngx.exec("/next")
        }
    }
    location = /next {
        content_by_lua_block { ngx.say(ngx.ctx.name) }
    }
--- response_body
t



=== TEST 9: from a location whose code is cached to one whose code is not, nothing can be inherited
--- config
    lua_ctx_inherit on;
    location = /t {
        rewrite_by_lua_block {
            ngx.ctx.name = "t"
            ngx.exec("/next")
        }
    }
    location = /next {
        lua_code_cache off;
        content_by_lua_block { ngx.say(tostring(ngx.ctx.name)) }
    }
--- response_body
nil
